"""Depth of every frame of a live stream, the network at its own pace.

The network infers in the background. A frame gets the depth that was last inferred, carried over to
it by optical flow; so its latency is that of the flow. When a frame that was given such depth has
been inferred as well, the difference says how far off it was, and how soon the network is needed
again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import UsageError
from depthrt.model.inference import Abort, Prediction
from depthrt.pipeline.batch import Batch, Inferred, end_of
from depthrt.pipeline.frame_queue import FrameQueue
from depthrt.pipeline.stream_state import End, PreparedFrame, StreamState
from depthrt.temporal.display_range import SceneCuts
from depthrt.temporal.interpolate import carried_over, error_of
from depthrt.temporal.keyframes import THUMBNAIL_SIDE, Estimate, Keyframe, Keyframes
from depthrt.temporal.optical_flow import grey_thumbnail, thumbnail_size
from depthrt.temporal.warp import Warp

MAX_AGE_S = 2.0  # of a keyframe before another one is inferred, however little moves
_AIM = 0.7  # of the budget
_FASTER, _SLOWER = 0.5, 1.5  # bounds of what one audit changes of the pace


@dataclass(frozen=True, eq=False)
class _Key:
    """The frame that was last inferred: its pixels 3,h,w, its time, and its depth."""

    item: PreparedFrame
    keyframe: Keyframe

    def age_s(self, item: PreparedFrame) -> float:
        """Seconds from this frame's capture to another's."""
        return float(item.frame.exact_time_s - self.item.frame.exact_time_s)


@dataclass(eq=False)
class LiveStream:
    """What is known of one stream.

    - ``inferring``: the network has a frame of it; ``carrying``: so has optical flow;
    - ``wanted``: a frame that the network is to see next, with the depth that it was given;
    - ``interval_s``: age of a keyframe at which the next one is wanted.
    """

    options: Keyframes
    inferring: bool = False
    carrying: bool = False
    wanted: tuple[PreparedFrame, _Key, Prediction] | None = None
    interval_s: float = 0.0
    _key: _Key | None = None
    _warp: Warp = field(default_factory=Warp)

    def may_carry(self, item: PreparedFrame) -> bool:
        """Whether there is depth to carry over to a frame."""
        return self._key is not None and self._key.item.fits(item)

    def carry(self, item: PreparedFrame) -> tuple[Estimate, _Key] | None:
        """The depth of a frame by flow, and its keyframe; None where a new scene has begun."""
        key = self._key
        if key is None or _is_cut(key.item.pixels, item.pixels):
            return None
        made = carried_over(key.keyframe, _grey(item), self._warp)
        return Estimate(made, inferred=False, age_s=key.age_s(item)), key

    def learn(self, item: PreparedFrame, made: Prediction) -> None:
        """Take a frame that was inferred as the keyframe from now on."""
        if self._key is None or self._key.age_s(item) > 0:
            self._key = _Key(item, Keyframe(_grey(item), made.copy()))

    def pace(self, age_s: float, error: float) -> None:
        """Infer sooner or later next time, by the error of depth carried over for so long."""
        ratio = _AIM * self.options.budget / max(error, 1e-6)
        self.interval_s = min(MAX_AGE_S, age_s * min(_SLOWER, max(_FASTER, ratio)))

    def infer_behind(self, abort: Abort) -> End | None:
        """Let the network see the frame that is wanted, and compare it with what that was given.

        Returns:
            The end of the stream, where the network failed.
        """
        wanted, self.wanted = self.wanted, None
        if wanted is None:
            self.inferring = False
            return None
        item, key, given = wanted
        try:
            start_s = time.perf_counter()
            (made,) = item.model.predict(item.pixels[None], abort)
            stats = item.stream.stats
            stats.spend("infer", time.perf_counter() - start_s)
            off = error_of(given.depth, made.depth)
            stats.audit_errors.append(off)
            self.pace(key.age_s(item), off)
            self.learn(item, made)
        except Exception as error:  # of this stream alone
            return end_of(item, error)
        finally:
            self.inferring = False
        return None

    @property
    def wanted_age_s(self) -> float:
        """How old the keyframe is of the frame that is wanted."""
        return 0.0 if self.wanted is None else self.wanted[1].age_s(self.wanted[0])


@dataclass(eq=False, kw_only=True)
class FirstBatch(Batch):
    """A frame that has nothing to be carried over from: it waits for the network."""

    state: LiveStream

    def infer(self) -> Inferred | Exception:
        """Infer it; it becomes the keyframe. An error is returned, not raised."""
        found = super().infer()
        if isinstance(found, Inferred):
            self.state.learn(self.frames[0], found.estimates[0].made)
        self.state.inferring = False
        return found


@dataclass(eq=False, kw_only=True)
class CarriedBatch(Batch):
    """A frame that gets its depth by flow; the first of a new scene waits for the network."""

    state: LiveStream

    def infer(self) -> Inferred | Exception:
        """Carry depth over to it; an error is returned, not raised."""
        (item,), start_s = self.frames, time.perf_counter()
        try:
            carried = self.state.carry(item)
            if carried is None:
                found = super().infer()
                if isinstance(found, Inferred):
                    self.state.learn(item, found.estimates[0].made)
                return found
            estimate, key = carried
            if not self.state.inferring and key.age_s(item) >= self.state.interval_s:
                # What becomes of the result must not reach the audit.
                self.state.wanted = item, key, estimate.made.copy()
        except Exception as error:  # of this stream alone
            return error
        finally:
            self.state.carrying = False
        return Inferred([estimate], 0.0, time.perf_counter() - start_s)


class LiveKeyframes:
    """Which frame of live streams is carried over to next, and which one is inferred.

    It has no lock: the scheduler's guards it.

    Raises:
        UsageError: one of the streams is a recording.
    """

    def __init__(
        self, streams: Mapping[str, StreamState], options: Keyframes, parallel: int
    ) -> None:
        recorded = [name for name, stream in streams.items() if not stream.live]
        if recorded:
            raise UsageError(
                f"--keyframes: {recorded[0]} is a recording and others are live: run them apart"
            )
        self._states = {name: LiveStream(options) for name in streams}
        self._parallel = parallel

    def take(
        self, queue: FrameQueue, abort: Abort, *, results_wait: bool
    ) -> Batch | LiveStream | None:
        """What can be done next.

        Args:
            queue: of the newest frames.
            abort: ends an inference early.
            results_wait: the consumer has not taken what is done already.

        Returns:
            A frame whose result can be made, by flow or, the first, by the network; else a stream
            that the network is to see a frame of in the background; None: nothing.
        """
        inferring = sum(state.inferring for state in self._states.values())
        may_infer = inferring < self._parallel
        item = None
        if not results_wait:
            item = queue.take_frame(lambda item: self._is_ready(item, may_infer=may_infer))
        if item is None:
            return self._next_wanted() if may_infer else None
        state = self._states[item.stream.name]
        if state.may_carry(item):
            state.carrying = True
            return CarriedBatch([item], [False], abort, state=state)
        state.inferring = True
        return FirstBatch([item], [False], abort, state=state)

    def _next_wanted(self) -> LiveStream | None:
        """The stream whose keyframe is oldest; it is marked as begun."""
        due = [s for s in self._states.values() if s.wanted is not None and not s.inferring]
        if not due:
            return None
        state = max(due, key=lambda state: state.wanted_age_s)
        state.inferring = True
        return state

    def _is_ready(self, item: PreparedFrame, *, may_infer: bool) -> bool:
        state = self._states[item.stream.name]
        if state.carrying:
            return False
        return state.may_carry(item) or (may_infer and not state.inferring)


def _grey(item: PreparedFrame) -> NDArray[np.uint8]:
    return grey_thumbnail(item.pixels, thumbnail_size(item.pixels.shape[1:], THUMBNAIL_SIDE))


def _is_cut(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> bool:
    cuts = SceneCuts()
    cuts.update(before)
    return cuts.update(after)

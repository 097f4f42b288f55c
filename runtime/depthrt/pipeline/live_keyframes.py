"""Depth of every frame of a live stream, the network at its own pace.

The network infers in the background. A frame gets the depth that was last inferred, carried over to
it by optical flow (`temporal/live_carry.py`); so its latency is that of the flow.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from depthrt.errors import UsageError
from depthrt.model.depth_model import DepthModel
from depthrt.model.inference import Abort, Prediction
from depthrt.pipeline.batch import Batch, Inferred, end_of
from depthrt.pipeline.frame_queue import FrameQueue
from depthrt.pipeline.stream_state import End, PreparedFrame, StreamState
from depthrt.temporal.keyframes import Estimate, Keyframes
from depthrt.temporal.live_carry import LiveCarry


@dataclass(frozen=True, eq=False)
class _Wanted:
    """A frame that the network is to see, and what it was given."""

    item: PreparedFrame
    given: Estimate


@dataclass(eq=False)
class LiveStream(LiveCarry):
    """What is known of one stream.

    - ``inferring``: the network has a frame of it; ``carrying``: so has optical flow;
    - ``wanted``: a frame that the network is to see next.
    """

    inferring: bool = False
    carrying: bool = False
    wanted: _Wanted | None = None
    _model: DepthModel | None = None

    def fits(self, item: PreparedFrame) -> bool:
        """Whether there is depth to carry over to a frame."""
        return self._model is item.model and self.may_carry(item.pixels)

    def estimate(self, item: PreparedFrame) -> Estimate | None:
        """The depth of a frame by flow; None where a new scene has begun.

        Where the next keyframe is due, the frame is wanted from now on.
        """
        found = self.carry(item.pixels, item.frame.exact_time_s)
        if found is not None and not self.inferring and self.is_due(found):
            # What becomes of the result must not reach the audit.
            self.wanted = _Wanted(item, replace(found, made=found.made.copy()))
        return found

    def take_over(self, item: PreparedFrame, made: Prediction) -> None:
        """Take a frame that was inferred as the keyframe from now on."""
        if self._model is not item.model:
            self.forget()
            self._model = item.model
        self.learn(item.pixels, item.frame.exact_time_s, made)

    def infer_behind(self, abort: Abort) -> End | None:
        """Let the network see the frame that is wanted, and compare it with what that was given.

        Returns:
            The end of the stream, where the network failed.
        """
        wanted, self.wanted = self.wanted, None
        if wanted is None:
            self.inferring = False
            return None
        item = wanted.item
        try:
            start_s = time.perf_counter()
            (made,) = item.model.predict(item.pixels[None], abort)
            stats = item.stream.stats
            stats.spend("infer", time.perf_counter() - start_s)
            stats.audit_errors.append(self.audit(wanted.given, made))
            self.take_over(item, made)
        except Exception as error:  # of this stream alone
            return end_of(item, error)
        finally:
            self.inferring = False
        return None

    @property
    def wanted_age_s(self) -> float:
        """How old the keyframe is of the frame that is wanted."""
        return 0.0 if self.wanted is None else self.wanted.given.age_s or 0.0


@dataclass(eq=False, kw_only=True)
class FirstBatch(Batch):
    """A frame that has nothing to be carried over from: it waits for the network."""

    state: LiveStream

    def infer(self) -> Inferred | Exception:
        """Infer it; it becomes the keyframe. An error is returned, not raised."""
        found = super().infer()
        if isinstance(found, Inferred):
            self.state.take_over(self.frames[0], found.estimates[0].made)
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
            estimate = self.state.estimate(item)
            if estimate is None:
                found = super().infer()
                if isinstance(found, Inferred):
                    self.state.take_over(item, found.estimates[0].made)
                return found
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
        if state.fits(item):
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
        return state.fits(item) or (may_infer and not state.inferring)

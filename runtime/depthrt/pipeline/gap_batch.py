"""A batch of frames of one recording, of which the network sees a few.

Gaps of a stream follow one another: the last frame of one is the keyframe before the next. A gap
that is begun first infers its own last frame, hands it over, and only then waits for the one before
it; so several gaps are under way at a time. What the audits of a gap found counts from a fixed
number of gaps later on, whichever ends first, so that depth depends neither on chance nor on how
many cores there are.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import InferenceError
from depthrt.model.depth_model import DepthModel
from depthrt.model.inference import Abort, Prediction
from depthrt.model.providers import MOST_PARALLEL
from depthrt.pipeline.batch import Batch, Inferred
from depthrt.pipeline.stream_state import PreparedFrame
from depthrt.pipeline.threads import LOOK_S
from depthrt.temporal.display_range import SceneCuts
from depthrt.temporal.gap import Gap
from depthrt.temporal.keyframes import THUMBNAIL_SIDE, Allowance, Keyframe, Keyframes
from depthrt.temporal.optical_flow import grey_thumbnail, thumbnail_size

_LAG = MOST_PARALLEL  # gaps after which audits count: as many as are under way at most


class Handover:
    """What a gap hands to those after it: its last frame, that frame's depth, and its audits.

    It can be pickled once its gap is done.

    Args:
        pixels: the last frame that the gap computes, as prepared (uint8 RGB 3,h,w).
        model: what that was prepared for.
        previous: the handover of the gap before.
        budget: see :class:`Keyframes`.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        model: DepthModel,
        previous: Handover | None,
        budget: float,
    ) -> None:
        self.pixels, self.model = pixels, model
        self.number: int = 0 if previous is None else previous.number + 1
        self._previous, self._budget = previous, budget
        self._keyframe: Keyframe | None = None
        self._errors: list[float] = []
        self._ended, self._done = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._allowance: Allowance | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """What is pickled: events and locks cannot be."""
        known = self.keyframe(None), self.allowance(None)
        return Handover.done, (self.pixels, self.model, self.number, self._budget, *known)

    @classmethod
    def done(
        cls,
        pixels: NDArray[np.uint8],
        model: DepthModel,
        number: int,
        budget: float,
        keyframe: Keyframe | None,
        allowance: Allowance,
    ) -> Handover:
        """That of a gap that was done in another process."""
        made = cls(pixels, model, None, budget)
        made.number, made._allowance = number, allowance
        made.hand_over(keyframe)
        made.finish()
        return made

    def fits(self, item: PreparedFrame) -> bool:
        """Whether depth can be carried from the last frame to another one."""
        return self.model is item.model and self.pixels.shape == item.pixels.shape

    def hand_over(self, keyframe: Keyframe | None) -> None:
        """Give the last frame's keyframe, once; None where it could not be inferred."""
        if not self._ended.is_set():
            self._keyframe = keyframe
            self._ended.set()

    def finish(self, errors: Sequence[float] = ()) -> None:
        """Give what the audits found; nothing more is to come."""
        self.hand_over(None)
        self._errors = list(errors)
        self._done.set()

    def keyframe(self, abort: Abort | None) -> Keyframe | None:
        """The last frame, once it has been inferred; None where it could not be."""
        _wait(self._ended, abort)
        return self._keyframe

    def allowance(self, abort: Abort | None) -> Allowance:
        """What is allowed by the audits of this gap and of all before it."""
        _wait(self._done, abort)
        with self._lock:
            if self._allowance is None:
                before = self._previous
                known = Allowance() if before is None else before.allowance(abort)
                self._allowance = known.after(self._errors, self._budget)
                self._previous = None  # else a run would keep all of its gaps
            return self._allowance


@dataclass(eq=False, kw_only=True)
class GapBatch(Batch):
    """Frames of one stream in order, of which the network sees a few.

    - ``before``, ``end``: the handover of the gap before, where it can be used, and its own;
    - ``settled``: that of the latest gap whose audits count.
    """

    options: Keyframes
    before: Handover | None
    end: Handover
    settled: Handover | None

    def infer(self) -> Inferred | Exception:
        """Give every frame that changed its depth; an error is returned, not raised."""
        errors: list[float] = []
        try:
            inferred = self._fill()
            errors += [e.error for e in inferred.estimates if e.error is not None]
        except Exception as error:  # every stream is told its own, when its turn comes
            return error
        finally:
            self.end.finish(errors)
        return inferred

    def _fill(self) -> Inferred:
        changed = [i for i, same in zip(self.frames, self.unchanged, strict=True) if not same]
        start_s, network_s = time.perf_counter(), 0.0

        def infer(indices: Sequence[int]) -> list[Prediction]:
            nonlocal network_s
            begin_s = time.perf_counter()
            found = self.model.predict(np.stack([changed[i].pixels for i in indices]), self.abort)
            network_s += time.perf_counter() - begin_s
            return list(found)

        size = thumbnail_size(changed[0].pixels.shape[1:], THUMBNAIL_SIDE)
        greys = [grey_thumbnail(item.pixels, size) for item in changed]
        spec = self.model.spec
        gap = Gap(
            greys, self._cuts(changed), self.options,
            align=spec.unit is None, number=self.end.number,
        )  # fmt: skip
        last = gap.infer_ends(infer, after_keyframe=self.before is not None)
        # A copy: what is done to a result in place must not reach the next gap.
        self.end.hand_over(Keyframe(greys[-1], last.copy()))
        before = None if self.before is None else self.before.keyframe(self.abort)
        allowance = self.settled.allowance(self.abort) if self.settled else Allowance()
        estimates = gap.fill(before, allowance, infer)
        carry_s = time.perf_counter() - start_s - network_s
        return Inferred(estimates, network_s, carry_s)

    def _cuts(self, changed: Sequence[PreparedFrame]) -> list[bool]:
        cuts = SceneCuts()
        if self.before is not None:
            cuts.update(self.before.pixels)
        return [cuts.update(item.pixels) for item in changed]


class GapChain:
    """Makes the batches of one stream, each from where the one before ends.

    It can be pickled once they are done: batches may go on from there in another process.

    Args:
        options: when the network need not run.
    """

    def __init__(self, options: Keyframes) -> None:
        self._options = options
        self._last: deque[Handover] = deque(maxlen=_LAG)

    def batch(
        self, frames: list[PreparedFrame], unchanged: list[bool], abort: Abort | None
    ) -> Batch:
        """The next frames of the stream as a batch; to be asked in order."""
        changed = [item for item, same in zip(frames, unchanged, strict=True) if not same]
        if not changed:
            return Batch(frames, unchanged, abort)
        previous = self._last[-1] if self._last else None
        full = len(self._last) == self._last.maxlen
        settled = self._last[0] if full else None
        last = changed[-1]
        end = Handover(last.pixels, last.model, previous, self._options.budget)
        fits = previous is not None and previous.fits(changed[0])
        self._last.append(end)
        return GapBatch(
            frames, unchanged, abort, options=self._options,
            before=previous if fits else None, end=end, settled=settled,
        )  # fmt: skip


def _wait(event: threading.Event, abort: Abort | None) -> None:
    """Wait for another gap.

    Raises:
        InferenceError: everything is ended meanwhile.
    """
    while not event.wait(LOOK_S):
        if abort is not None and abort.asked:
            raise InferenceError("ended while it waited for the frames before")

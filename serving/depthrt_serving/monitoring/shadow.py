"""A share of the images also goes through the float model, when nothing waits: how far are they?

The error of each image is a feature, and drifts like all others, from what it was for the model
that was stable first. Scenes differ in their error by more than files do, so a file that takes the
place of another is also compared with that one on the same images, for its first ones.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import DepthrtError
from depthrt.monitor.drift import Rate
from depthrt.monitor.features import SHADOW_ERROR
from depthrt.monitor.reference import Reference
from depthrt.monitor.watch import Watch, WatchOptions
from depthrt.monitor.watches import WatchedModel, Watches
from depthrt.temporal.display_range import percentiles
from depthrt_serving.monitoring.shadow_model import ShadowModel

if TYPE_CHECKING:
    from depthrt.model.depth_model import DepthModel

STREAM = "shadow"
"""The name of its drift among those of streams."""
RATE = Rate(window=60)
LEARNED = 120  # images whose error is what is usual
COMPARED = 1000
"""Images on which a new file is compared with the one before it."""
SAMPLE_S = RATE.step_s / 5  # a verdict after five images
_SMALLEST = 1e-4  # of the spread: smaller errors are none
_CLOSE = 0.05  # of the spread: pixels that agree
_MOST_WAIT = 4
_PATIENCE_S, _POLL_S = 2.0, 0.01

Map = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass(eq=False)
class Predecessor:
    """The model that another one took the place of, or stands beside as a canary.

    - ``left``: images on which both are still compared; at 0 its memory is free.
    """

    model: DepthModel | None
    left: int = COMPARED

    def depth(self, pixels: Pixels) -> Map | None:
        """Its depth of a prepared picture (3,h,w); None where there is none any more."""
        model = self.model
        if model is None:
            return None
        self.left -= 1
        if self.left <= 0:
            self.model = None
        try:
            found: Map = model.predict(pixels[None], gaps=True).depth[0]
            return found
        except DepthrtError:
            return None


class Counted(Protocol):
    """Is told what came of an image."""

    def compared_before(self, times: float) -> None:
        """Its error was so many times that of the model before it, on one image."""

    def compared(self, error: float, agreement: float) -> None:
        """It was compared."""

    def skipped(self, reason: str) -> None:
        """It was not."""


@dataclass(frozen=True, eq=False)
class _Image:
    model: WatchedModel
    counted: Counted
    prepared: Pixels
    depth: Map
    before: Predecessor | None


class Shadow:
    """Compares a share of all images with what the shadow model gives for them.

    Args:
        model: the shadow model.
        share: of the images, 0 to 1.
        watches: where its drift is shown, and references are kept.
        idle: whether nothing waits in the server's queue.
    """

    def __init__(
        self, model: ShadowModel, share: float, watches: Watches, idle: Callable[[], bool]
    ) -> None:
        self.model, self.share = model, share
        self._watches, self._idle = watches, idle
        kept = watches.kept
        self._usual = kept.references.get(STREAM) if kept else None
        self._first = ""
        self._random = random.Random()
        self._images: queue.Queue[_Image | None] = queue.Queue(_MOST_WAIT)
        self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)
        self._thread.start()

    def saw(
        self,
        model: WatchedModel,
        counted: Counted,
        prepared: Sequence[Pixels],
        depths: Sequence[Map],
        before: Predecessor | None = None,
    ) -> None:
        """Take a share of an answer's images; never waits.

        Args:
            model: that gave the depth.
            counted: is told what comes of them.
            prepared: what the network saw of each image, uint8 RGB 3,h,w.
            depths: the network's own depth of each, float32 h,w.
            before: the model that it took the place of.
        """
        for pixels, depth in zip(prepared, depths, strict=True):
            if self._random.random() < self.share:
                try:
                    self._images.put_nowait(_Image(model, counted, pixels, depth, before))
                except queue.Full:
                    counted.skipped("busy")

    def close(self) -> None:
        """End the thread and the process."""
        self.model.close()
        with suppress(queue.Full):  # it is a daemon then
            self._images.put_nowait(None)

    def _work(self) -> None:
        while (image := self._images.get()) is not None:
            if not self._wait():
                image.counted.skipped("busy")
                continue
            found = self.model.depth(image.prepared)
            made = None if found is None else compare(image.depth, found)
            if found is None or made is None:
                image.counted.skipped("failed")
                continue
            image.counted.compared(*made)
            _compare_before(image, found, made[0])
            watch = self._watch(image.model)
            if watch is not None:
                watch.add({SHADOW_ERROR: made[0]})

    def _wait(self) -> bool:
        """Whether the queue is empty, now or soon."""
        until_s = time.monotonic() + _PATIENCE_S
        while not self._idle():
            if time.monotonic() > until_s:
                return False
            time.sleep(_POLL_S)
        return True

    def _watch(self, model: WatchedModel) -> Watch | None:
        """What judges the error of a model: against that of the first one, once it is known."""
        if self._watches.is_over(model):
            return None
        self._first = self._first or model.sha256
        if self._usual is None and model.sha256 != self._first:
            return None

        def new() -> Watch:
            options = WatchOptions(
                self._usual,
                "stream" if self._usual is None else "kept",
                learn_s=LEARNED * SAMPLE_S,
                rate=RATE,
                sample_s=SAMPLE_S,
                model_sha256=model.sha256,
                source=f"{LEARNED} images of {model.label}",
            )
            return Watch(options, self._watches.telling(STREAM), self._learned)

        return self._watches.watch(STREAM, model, new)

    def _learned(self, reference: Reference) -> None:
        if self._usual is None:
            self._usual = reference
            self._watches.keep(STREAM, reference)


def _compare_before(image: _Image, shadow: Map, error: float) -> None:
    before = None if image.before is None else image.before.depth(image.prepared)
    made = None if before is None else compare(before, shadow)
    if made is not None:
        image.counted.compared_before(error / max(made[0], _SMALLEST))


def compare(depth: Map, shadow: Map) -> tuple[float, float] | None:
    """How far a map (h,w) is from the shadow model's.

    Returns:
        The mean |difference| over the spread of the shadow model's depth (2nd to 98th percentile),
        and the share of pixels within 5% of it; None where sizes differ or nothing is finite.
    """
    if depth.shape != shadow.shape:
        return None
    known = np.isfinite(depth) & np.isfinite(shadow)
    if not known.any():
        return None
    low, high = percentiles(shadow[known], 2, 98)
    apart = np.abs(depth[known] - shadow[known]) / max(high - low, 1e-9)
    return float(apart.mean()), float((apart <= _CLOSE).mean())

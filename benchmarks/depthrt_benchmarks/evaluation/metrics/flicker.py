"""Pose-free flicker: how much depth jumps between frames where the picture says nothing changed.

What it can see: jumps of scale and shift from frame to frame, boiling texture, edges that swim,
on any clip, without poses or labels; and depth that stays behind while the picture moves.

What it cannot see: whether depth is right (a constant map has no flicker, a blurred one little:
read it beside AbsRel and boundary F1); slow drift, because only neighbouring frames are compared;
pixels that optical flow does not follow (fast motion, blur, mirrors, covered and uncovered parts).
Things that truly come nearer count, too, so that a moving camera has a floor above zero: compare
methods on one clip, never clips with one another. Optical flow errs a little, and depth beside an
edge with it. ``median`` and ``p95`` change when a constant is added to relative depth;
``median_of_spread`` does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt_benchmarks.evaluation.metrics.motion import Correspondence, correspondence

MIN_SHARE = 0.05  # of a frame's pixels that must be comparable; a scene cut leaves fewer
_FARTHEST = 100.0  # values below this fraction of the 98th percentile are raised to it


@dataclass(frozen=True)
class Flicker:
    """Flicker of one pair of frames, or the mean over the pairs of a clip.

    - ``median``, ``p95``: of \\|ln d_t - ln warp(d_t-1)\\| over the comparable pixels; 0.01 is 1%;
    - ``median_of_spread``: of \\|d_t - warp(d_t-1)\\| over the pair's 2-98 percentile spread;
    - ``share``: of the pixels that could be compared, 0..1.
    """

    median: float
    p95: float
    median_of_spread: float
    share: float


@dataclass(frozen=True)
class ClipFlicker:
    """Flicker of a clip: the mean over its pairs, the worst pair by median, and how many."""

    mean: Flicker
    worst_median: float
    pairs: int
    skipped: int


def pair_flicker(
    earlier: NDArray[np.float32], later: NDArray[np.float32], motion: Correspondence
) -> Flicker | None:
    """Flicker between consecutive raw depth maps (float32 h,w, finite), nothing else removed.

    The logarithm needs positive values: those below a hundredth of the 98th percentile of both maps
    are raised to it. For inverse depth such pixels are far, and their ratio means nothing.

    Returns:
        None where fewer than ``MIN_SHARE`` of the pixels can be compared, as at a scene cut.
    """
    trusted = motion.trusted
    share = float(trusted.mean())
    if share < MIN_SHARE:
        return None
    before, after = motion.carry(earlier)[trusted], later[trusted]
    low, _, high = np.percentile(np.stack([earlier, later]), (2, 50, 98))
    floor = max(float(high) / _FARTHEST, 1e-12)
    jump = np.abs(np.log(np.maximum(after, floor)) - np.log(np.maximum(before, floor)))
    spread = max(float(high - low), 1e-12)
    return Flicker(
        median=float(np.median(jump)),
        p95=float(np.percentile(jump, 95)),
        median_of_spread=float(np.median(np.abs(after - before))) / spread,
        share=share,
    )


@dataclass
class FlickerMeter:
    """Flicker of a clip, frame by frame; several depth maps of one frame share its optical flow.

    >>> meter = FlickerMeter()
    >>> for picture, depth in frames:      # uint8 RGB H,W,3 and {"raw": float32 h,w, ...}
    ...     meter.add(picture, depth)
    >>> meter.result("raw").mean.median
    """

    _picture: NDArray[np.uint8] | None = field(default=None, repr=False)
    _depths: dict[str, NDArray[np.float32]] = field(default_factory=dict, repr=False)
    _pairs: dict[str, list[Flicker | None]] = field(default_factory=dict, repr=False)

    def add(self, picture: NDArray[np.uint8], depths: dict[str, NDArray[np.float32]]) -> None:
        """The next frame: its picture (uint8 RGB H,W,3) and depth maps by name, all of one size."""
        height, width = next(iter(depths.values())).shape
        small = np.asarray(
            cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8
        )
        if self._picture is not None and self._picture.shape == small.shape:
            motion = correspondence(self._picture, small)
            for name, values in depths.items():
                found = pair_flicker(self._depths[name], values, motion)
                self._pairs.setdefault(name, []).append(found)
        self._picture = small
        self._depths = {name: values.copy() for name, values in depths.items()}

    def result(self, name: str) -> ClipFlicker | None:
        """The flicker of one of the depth maps; None where no pair could be compared."""
        pairs = self._pairs.get(name, [])
        seen = [pair for pair in pairs if pair is not None]
        if not seen:
            return None
        mean = Flicker(
            median=float(np.mean([pair.median for pair in seen])),
            p95=float(np.mean([pair.p95 for pair in seen])),
            median_of_spread=float(np.mean([pair.median_of_spread for pair in seen])),
            share=float(np.mean([pair.share for pair in seen])),
        )
        worst = max(pair.median for pair in seen)
        return ClipFlicker(mean, worst, len(seen), len(pairs) - len(seen))


def flicker(
    frames: Iterable[tuple[NDArray[np.uint8], NDArray[np.float32]]],
) -> ClipFlicker | None:
    """Flicker of a clip of (uint8 RGB H,W,3, float32 depth h,w); None without a usable pair."""
    meter = FlickerMeter()
    for picture, values in frames:
        meter.add(picture, {"depth": values})
    return meter.result("depth")

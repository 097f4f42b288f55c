"""Depth of a live frame from the last keyframe, and when the network is needed again.

The network infers in the background. A frame gets the depth that was last inferred, carried over to
it by optical flow. When a frame that was given such depth has been inferred as well, the difference
says how far off it was, and how soon the network is needed again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from depthrt.model.inference import Prediction
from depthrt.temporal.display_range import SceneCuts
from depthrt.temporal.interpolate import carried_over, error_of
from depthrt.temporal.keyframes import THUMBNAIL_SIDE, Estimate, Grey, Keyframe, Keyframes
from depthrt.temporal.optical_flow import grey_thumbnail, thumbnail_size
from depthrt.temporal.warp import Warp

MAX_AGE_S = 2.0  # of a keyframe before another one is inferred, however little moves
_AIM = 0.7  # of the budget
_FASTER, _SLOWER = 0.5, 1.5  # bounds of what one audit changes of the pace


@dataclass(frozen=True, eq=False)
class _Key:
    """The frame that was last inferred: its pixels 3,h,w, its time, and its depth."""

    pixels: NDArray[np.uint8]
    time_s: Fraction | float
    keyframe: Keyframe


@dataclass(eq=False)
class LiveCarry:
    """The last keyframe of one stream, and the pace of the next ones.

    One thread at a time may call :meth:`carry`; another one may call :meth:`learn` and
    :meth:`audit` meanwhile. Frames are uint8 RGB 3,h,w, as they were prepared for the network;
    times are seconds on any clock.

    - ``interval_s``: age of a keyframe at which the next one is wanted.
    """

    options: Keyframes
    interval_s: float = 0.0
    _key: _Key | None = None
    _warp: Warp = field(default_factory=Warp)

    def may_carry(self, pixels: NDArray[np.uint8]) -> bool:
        """Whether there is depth to carry over to a frame."""
        return self._key is not None and self._key.pixels.shape == pixels.shape

    def age_s(self, time_s: Fraction | float) -> float:
        """How much older the keyframe is than a frame of this time; infinite where there is none.

        Negative for a frame before it.
        """
        return float("inf") if self._key is None else float(time_s - self._key.time_s)

    def carry(self, pixels: NDArray[np.uint8], time_s: Fraction | float) -> Estimate | None:
        """The depth of a frame by flow; None where a new scene has begun, or there is no keyframe.

        Its memory is the caller's.
        """
        key = self._key
        if key is None or _is_cut(key.pixels, pixels):
            return None
        grey = _grey(pixels)
        made = carried_over(key.keyframe, grey, self._warp)
        return Estimate(made, inferred=False, age_s=float(time_s - key.time_s), grey=grey)

    def learn(self, pixels: NDArray[np.uint8], time_s: Fraction | float, made: Prediction) -> None:
        """Take a frame that was inferred as the keyframe from now on, unless there is a later one.

        ``made`` is copied, ``pixels`` are kept.
        """
        if self.age_s(time_s) > 0:
            self._key = _Key(pixels, time_s, Keyframe(_grey(pixels), made.copy()))

    def is_due(self, given: Estimate) -> bool:
        """Whether the network is to see the frame that was given this, too."""
        return (given.age_s or 0.0) >= self.interval_s

    def audit(self, given: Estimate, made: Prediction) -> float:
        """How far off carried depth was: the mean difference over the depth's spread.

        The pace follows it.

        Args:
            given: by :meth:`carry`, and in memory of its own since.
            made: what the network gives for the same frame.
        """
        error = error_of(given.made.depth, made.depth)
        self.pace(given.age_s or 0.0, error)
        return error

    def pace(self, age_s: float, error: float) -> None:
        """Infer sooner or later next time, by the error of depth carried over for so long."""
        ratio = _AIM * self.options.budget / max(error, 1e-6)
        self.interval_s = min(MAX_AGE_S, age_s * min(_SLOWER, max(_FASTER, ratio)))

    def forget(self) -> None:
        """Drop the keyframe, as where another network takes over."""
        self._key = None


def _grey(pixels: NDArray[np.uint8]) -> Grey:
    return grey_thumbnail(pixels, thumbnail_size(pixels.shape[1:], THUMBNAIL_SIDE))


def _is_cut(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> bool:
    cuts = SceneCuts()
    cuts.update(before)
    return cuts.update(after)

"""Do not compute what did not change: for cameras that stand still."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.errors import UsageError

THRESHOLD = 4.0  # grey levels of 255
MAX_AGE_S = 2.0
_ROWS = 24  # of the thumbnail: cells small enough to see a person far away, large enough for noise


@dataclass(frozen=True)
class Reuse:
    """When the depth of an earlier frame will do.

    - ``threshold``: a frame counts as unchanged while no cell of its thumbnail (24 rows of mean
      grey) differs by more grey levels, of 255, from the frame that was last computed. Never the
      frame before: slow change adds up until it is seen;
    - ``max_age_s``: depth older than this is computed again, whatever the picture says.

    Raises:
        UsageError: a threshold outside 0..255, or an age that is not above 0.
    """

    threshold: float = THRESHOLD
    max_age_s: float = MAX_AGE_S

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 255:
            raise UsageError(
                f"--reuse-threshold {self.threshold:g} is no difference in grey levels, 0 to 255"
            )
        if not self.max_age_s > 0:
            raise UsageError(f"--reuse-max-age {self.max_age_s:g} is not above 0 s")


def reuse_of(threshold: float | None, max_age_s: float | None, *, wanted: bool) -> Reuse | None:
    """What was asked for on the command line; None where it was not.

    Raises:
        UsageError: limits for what was not asked for, or outside their range.
    """
    if not wanted:
        for option, value in (("threshold", threshold), ("max-age", max_age_s)):
            if value is not None:
                raise UsageError(f"--reuse-{option} says when --reuse may: give --reuse, too")
        return None
    return Reuse(
        THRESHOLD if threshold is None else threshold,
        MAX_AGE_S if max_age_s is None else max_age_s,
    )


@dataclass
class ReuseGate:
    """The state of one stream: the thumbnail and time of the frame that was last computed."""

    reuse: Reuse
    _computed: NDArray[np.float32] | None = field(default=None, repr=False)
    _size: tuple[int, ...] = ()
    _time_s: Fraction = Fraction(0)

    def reset(self) -> None:
        """Forget it: the next frame is computed."""
        self._computed = None

    def unchanged(self, prepared: NDArray[np.uint8], time_s: Fraction) -> bool:
        """Whether the depth of the frame last computed will do for this one (uint8 RGB 3,h,w).

        If not, this one takes its place, so that it has to be computed.
        """
        cells = _cells(prepared)
        if self._computed is not None and self._size == prepared.shape:
            age_s = time_s - self._time_s
            # A clock that goes back is another recording, or a camera that was restarted.
            recent = Fraction(0) <= age_s < self.reuse.max_age_s
            change = float(cv2.norm(cells, self._computed, cv2.NORM_INF))
            if recent and change <= self.reuse.threshold:
                return True
        self._computed, self._size, self._time_s = cells, prepared.shape, time_s
        return False


def _cells(prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean grey (the channels' mean) of square cells, float32."""
    height, width = prepared.shape[1:]
    rows = min(_ROWS, height)
    size = (max(1, round(width * rows / height)), rows)
    planes = [
        cv2.resize(plane, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        for plane in prepared
    ]
    return np.asarray(sum(planes[1:], start=planes[0]) / 3, np.float32)

"""Which part of the depth range a viewer sees, without flicker: causal, reset by scene cuts."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

LOW_PERCENTILE, HIGH_PERCENTILE = 2.0, 98.0
SMOOTHING_S = 1.0  # time constant of the display range
CUT_DIFFERENCE = 0.10  # mean absolute difference of two thumbnails, of 1
CUT_OVERLAP = 0.85  # shared area of their histograms, of 1; moving cameras stay above 0.93
_HISTOGRAM_BINS = 16


@dataclass
class RangeTracker:
    """The display range of a sequence of depth maps.

    The 2nd and 98th percentile of each map, smoothed over time with a time constant of
    ``SMOOTHING_S``; only past frames count. :meth:`reset` starts over, as at a scene cut.
    """

    _range: tuple[float, float] | None = None
    _seen: tuple[float, float] | None = None
    _time_s: Fraction = Fraction(0)
    _rescale: bool = False

    def reset(self) -> None:
        """Forget the past: the next map sets the range by itself."""
        self._range = None

    def change_scale(self) -> None:
        """The next map is of another network: its percentiles are those of the last map."""
        self._rescale = True

    def update(
        self,
        values: NDArray[np.float32],
        time_s: Fraction,
        valid: NDArray[np.bool_] | None = None,
    ) -> tuple[float, float]:
        """The range to show this map (h,w) at, in the unit of its values; low < high.

        Only values that are ``valid`` (h,w) count. A map without any is shown at the range before.
        """
        step = max(1, min(values.shape) // 48)
        sample = values[::step, ::step]
        if valid is not None:
            sample = sample[valid[::step, ::step]]
            if not sample.size:
                return _ordered(*(self._range or (0.0, 1.0)))
        low, high = percentiles(sample, LOW_PERCENTILE, HIGH_PERCENTILE)
        if self._rescale and self._range is not None and self._seen is not None:
            gain = (high - low) / max(self._seen[1] - self._seen[0], 1e-12)
            a, b = (low + (edge - self._seen[0]) * gain for edge in self._range)
            self._range = a, b
        self._seen, self._rescale = (low, high), False
        if self._range is not None:
            weight = 1 - math.exp(-max(0.0, float(time_s - self._time_s)) / SMOOTHING_S)
            low = self._range[0] + weight * (low - self._range[0])
            high = self._range[1] + weight * (high - self._range[1])
        self._range, self._time_s = (low, high), time_s
        return _ordered(low, high)


@dataclass
class SceneCuts:
    """Finds hard cuts by comparing thumbnails of consecutive prepared frames.

    A cut is where two thumbnails differ both in place (mean absolute difference) and in their
    brightness histograms, which a moving camera leaves alone.
    """

    _last: NDArray[np.float32] | None = field(default=None, repr=False)

    def reset(self) -> None:
        """Forget the last frame."""
        self._last = None

    def update(self, prepared: NDArray[np.uint8]) -> bool:
        """Whether this frame (uint8 RGB, 3,h,w) begins a new scene; the first one does not."""
        step = max(1, min(prepared.shape[1:]) // 24)
        thumbnail = prepared[:, ::step, ::step].mean(axis=0, dtype=np.float32) / 255
        last, self._last = self._last, thumbnail
        if last is None or last.shape != thumbnail.shape:
            return last is not None
        difference = float(np.abs(thumbnail - last).mean())
        return difference > CUT_DIFFERENCE and _overlap(thumbnail, last) < CUT_OVERLAP


def percentiles(values: NDArray[np.float32], *ranks: float) -> list[float]:
    """Those of a map, as ``np.percentile`` gives them, which takes nine times as long on a few."""
    ordered = np.sort(values, axis=None)
    last = len(ordered) - 1
    found = []
    for rank in ranks:
        below = int(last * rank / 100)
        a, b = float(ordered[below]), float(ordered[min(below + 1, last)])
        found.append(a + (b - a) * (last * rank / 100 - below))
    return found


def _ordered(low: float, high: float) -> tuple[float, float]:
    return low, max(high, low + 1e-6 * max(1.0, abs(low)))


def _overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    counts = [np.histogram(x, bins=_HISTOGRAM_BINS, range=(0, 1))[0] / x.size for x in (a, b)]
    return float(np.minimum(*counts).sum())

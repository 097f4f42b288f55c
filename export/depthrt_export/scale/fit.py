"""Scale and shift from a few points, robustly, in the model's own space.

The model gives d at a point that is z metres away. A line takes d to y: 1/z for inverse depth, z
for depth. Inverse depth is fitted as it is: networks are off by about as much near and far there.
Depth is fitted with weights 1/z, so that a residual is a share of the distance.

A line starts from the median slope of pairs (Theil, 1950; Sen, J. Am. Stat. Assoc. 63, 1968) and is
refined by least squares with Huber's weights and a scale from the median absolute deviation
(Holland and Welsch, Commun. Stat. 6, 1977). Up to 29% of the points may be wrong. A scale alone is
the location of log y - log d, estimated in the same way from its median.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depthrt.spec import Kind

Numbers = NDArray[np.float64]

_HUBER = 1.345  # 95% as efficient as least squares where errors are normal
_MAD_TO_SIGMA = 1.4826
_ROUNDS = 50
_PAIRS = 16  # partners of each point: all pairs of up to 33 points
_OUTLIER = 3.5  # robust standard deviations (Iglewicz and Hoaglin, 1993)
_LEAST_FACTOR = 2.0  # networks err by less often; a slip of the tape or the pixel is more


@dataclass(frozen=True)
class Line:
    """``y = scale * d + shift``; y is 1/metres for ``inverse_depth``, metres for ``depth``.

    A shift of None is a scale alone.

    Depth is kept within ``nearest_m`` to ``farthest_m``, so that it is finite and positive wherever
    d is finite.
    """

    kind: Kind
    scale: float
    shift: float | None
    nearest_m: float
    farthest_m: float

    def metres(self, d: Numbers) -> Numbers:
        """Depth in metres of what the model gave, of any shape."""
        y = self.scale * d + (self.shift or 0.0)
        if self.kind == "depth":
            return np.clip(y, self.nearest_m, self.farthest_m)
        return 1 / np.clip(y, 1 / self.farthest_m, 1 / self.nearest_m)

    def formula(self) -> str:
        """The line as a person writes it."""
        shift = ""
        if self.shift is not None:
            shift = f" {'-' if self.shift < 0 else '+'} {abs(self.shift):.5g}"
        left = "metres" if self.kind == "depth" else "1/metres"
        return f"{left} = {self.scale:.5g} x depth{shift}"


def fit_line(d: Numbers, metres: Numbers, kind: Kind) -> tuple[float, float]:
    """Scale and shift of three or more points; the scale may come out negative or 0.

    Args:
        d: what the model gave, (n); not all the same.
        metres: measured, (n).
        kind: of the model's depth.
    """
    y, weight = _target(metres, kind), _weight(metres, kind)
    scale = _median_slope(d, y)
    shift = float(np.median(y - scale * d))
    for _ in range(_ROUNDS):
        before = scale, shift
        residual = (scale * d + shift - y) * weight
        scale, shift = _least_squares(d, y, weight**2 * _huber(residual))
        if all(map(_settled, before, (scale, shift))):
            break
    return scale, shift


def fit_scale(d: Numbers, metres: Numbers, kind: Kind) -> float:
    """The scale of points whose d is above 0, (n)."""
    logs = np.log(_target(metres, kind)) - np.log(d)
    location = float(np.median(logs))
    for _ in range(_ROUNDS):
        weights = _huber(logs - location)
        moved = float((weights * logs).sum() / weights.sum())
        if _settled(location, moved):
            break
        location = moved
    return float(np.exp(location))


def agreement(d: Numbers, metres: Numbers, kind: Kind, least_ratio: float) -> float:
    """How far the order of d is that of y: 1 for all pairs of points, -1 for none (Kendall's tau).

    Only pairs whose distances differ by at least ``least_ratio`` count; 0 where there are none.
    """
    y = _target(metres, kind)
    first, second = _pairs(len(d))
    apart = np.abs(np.log(y[first] / y[second])) >= np.log(least_ratio)
    if not apart.any():
        return 0.0
    signs = np.sign(d[first] - d[second]) * np.sign(y[first] - y[second])
    return float(signs[apart].mean())


def outliers(predicted_m: Numbers, metres: Numbers) -> NDArray[np.bool_]:
    """Which points contradict the others.

    Their distance is off by a factor of two or more, and by more than the others' are: by the
    modified z-score of the logarithm.
    """
    errors = np.abs(np.log(predicted_m / metres))
    sigma = _MAD_TO_SIGMA * float(np.median(errors))
    return np.asarray(errors > max(_OUTLIER * sigma, math.log(_LEAST_FACTOR)), np.bool_)


def _settled(before: float, after: float) -> bool:
    return math.isclose(before, after, rel_tol=1e-7, abs_tol=1e-9)


def _target(metres: Numbers, kind: Kind) -> Numbers:
    return metres if kind == "depth" else 1 / metres


def _weight(metres: Numbers, kind: Kind) -> Numbers:
    return 1 / metres if kind == "depth" else np.ones_like(metres)


def _huber(residuals: Numbers) -> Numbers:
    sigma = max(_MAD_TO_SIGMA * float(np.median(np.abs(residuals))), 1e-12)
    return np.minimum(1.0, _HUBER * sigma / np.maximum(np.abs(residuals), 1e-300))


def _pairs(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of pairs of points: all of few, the same number of partners for each of many."""
    # Shuffled, as points that follow one another are often neighbours at one distance.
    order = np.random.default_rng(0).permutation(count)
    steps = range(1, min(count // 2, _PAIRS) + 1)
    first = np.concatenate([order for _ in steps])
    return first, np.concatenate([np.roll(order, step) for step in steps])


def _median_slope(d: Numbers, y: Numbers) -> float:
    first, second = _pairs(len(d))
    across = d[first] - d[second]
    differ = across != 0
    if not differ.any():
        return 0.0
    return float(np.median((y[first] - y[second])[differ] / across[differ]))


def _least_squares(d: Numbers, y: Numbers, weights: Numbers) -> tuple[float, float]:
    total = weights.sum()
    mean_d, mean_y = (weights * d).sum() / total, (weights * y).sum() / total
    spread = (weights * (d - mean_d) ** 2).sum()
    if spread <= 0:
        return 0.0, float(mean_y)
    scale = float((weights * (d - mean_d) * (y - mean_y)).sum() / spread)
    return scale, float(mean_y - scale * mean_d)

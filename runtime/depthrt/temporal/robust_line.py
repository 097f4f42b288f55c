"""The straight line from one map of depth to another, whatever moved in between."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MIN_CORRELATION = 0.7
_SCALE_LIMIT = 1.5  # a frame whose scale jumps by more is a new scene
_FIT_ROUNDS = 2


def robust_line(
    x: NDArray[np.float64], y: NDArray[np.float64], trust: NDArray[np.float64], *, fixed_scale: bool
) -> tuple[float, float] | None:
    """Scale and shift of x to y, None where they have too little in common.

    Outliers are weighed down by their residuals (Cauchy weights).

    The scale is that of the reduced major axis, the ratio of the standard deviations: least squares
    would shrink it by the noise of x, a little every frame.
    """
    weight, scale, shift = trust, 1.0, 0.0
    for _ in range(_FIT_ROUNDS):
        total = float(weight.sum())
        mean_x, mean_y = float(weight @ x) / total, float(weight @ y) / total
        if not fixed_scale:
            dx, dy = x - mean_x, y - mean_y
            wx, wy = weight * dx, weight * dy
            var_x, var_y, covariance = float(wx @ dx), float(wy @ dy), float(wx @ dy)
            if covariance <= MIN_CORRELATION * (var_x * var_y) ** 0.5:
                return None
            scale = (var_y / var_x) ** 0.5
            if not 1 / _SCALE_LIMIT < scale < _SCALE_LIMIT:
                return None
        shift = mean_y - scale * mean_x
        residual = scale * x + shift - y
        typical = float(trust @ np.abs(residual)) / float(trust.sum()) + 1e-9
        weight = trust / (1 + (residual / (1.5 * typical)) ** 2)
    return scale, shift

"""Ways to lay a few points over a model's depth, to be compared.

A way takes the model's depth d and the distances in metres, both (n), and gives a line from d to
1/metres (inverse depth) or metres (depth).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import UsageError
from depthrt.spec import Kind
from depthrt_export.scale.choose_line import Samples, Wish, fit_points
from depthrt_export.scale.fit import Line, Numbers, fit_line, fit_scale

Fit = Callable[[Numbers, Numbers], Line]
_WIDEST = 1e6  # no limit of depth of its own: the protocol's range holds
_NO_LIMIT = 1e9


def ways(kind: Kind, *, is_metric: bool) -> Mapping[str, Fit]:
    """All ways that suit a model's depth, by name; ``default`` is what `depthrt scale` does."""

    def line(scale: float, shift: float | None = None) -> Line:
        if not scale > 0:
            raise UsageError("the scale is not above 0")
        return Line(kind, scale, shift, 1 / _WIDEST, _WIDEST)

    def target(metres: Numbers) -> Numbers:
        return 1 / metres if kind == "inverse_depth" else metres

    def relative(metres: Numbers) -> Numbers:
        """Weights by which a residual is a share of the distance, to first order."""
        return metres if kind == "inverse_depth" else 1 / metres

    def least_squares(d: Numbers, metres: Numbers, weights: Numbers) -> Line:
        columns = np.stack([d, np.ones_like(d)], axis=1) * weights[:, None]
        scale, shift = np.linalg.lstsq(columns, target(metres) * weights, rcond=None)[0]
        return line(float(scale), float(shift))

    def least_squares_scale(d: Numbers, metres: Numbers, weights: Numbers) -> Line:
        y, w = target(metres), weights**2
        return line(float((w * d * y).sum() / (w * d * d).sum()))

    found = {
        "scale, median of ratios": lambda d, z: line(float(np.median(target(z) / d))),
        "scale, Huber on logarithms": lambda d, z: line(fit_scale(d, z, kind)),
        "scale, least squares": lambda d, z: least_squares_scale(d, z, np.ones_like(d)),
        "scale, relative least squares": lambda d, z: least_squares_scale(d, z, relative(z)),
        "scale and shift, least squares": lambda d, z: least_squares(d, z, np.ones_like(d)),
        "scale and shift, relative least squares": lambda d, z: least_squares(d, z, relative(z)),
        "scale and shift, Theil-Sen and Huber": lambda d, z: line(*fit_line(d, z, kind)),
        "default": lambda d, z: by_command(d, z, Wish(kind, is_metric)),
        "default, as if relative": lambda d, z: by_command(d, z, Wish(kind)),
    }
    if not is_metric:
        del found["default, as if relative"]
    return found


def by_command(d: Numbers, metres: Numbers, wish: Wish) -> Line:
    """The line of `depthrt scale` for points of one picture."""
    return fit_points(samples_of(d, metres), wish).line


def samples_of(d: Numbers, metres: Numbers, picture: NDArray[np.intp] | None = None) -> Samples:
    """Points of one picture, or of several."""
    where = np.zeros(len(d), np.intp) if picture is None else picture
    return Samples(d, metres, where, float(np.ptp(d)))

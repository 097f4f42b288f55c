"""From what a network gives to metres: how relative depth is laid over ground truth.

- ``disparity-lsq``: scale and shift by least squares on inverse depth, image by image (MiDaS,
  Ranftl et al., TPAMI 2022); for inverse depth, or depth that is inverted first.
- ``sequence-disparity-lsq``: the same with one scale and shift for a whole sequence
  (Video-Depth-Anything, Chen et al., CVPR 2025).
- ``depth-lsq``: the same solve on depth (Marigold, Ke et al., CVPR 2024).
- ``median``: one factor, median of the truth over median of the prediction (monodepth2, Godard et
  al., ICCV 2019).
- ``none``: the prediction is taken as metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from depthrt.spec import Kind

Align = Literal["disparity-lsq", "depth-lsq", "median", "none", "sequence-disparity-lsq"]
ALIGNS: tuple[Align, ...] = get_args(Align)

Values = NDArray[np.floating[Any]]
_ON_DISPARITY = ("disparity-lsq", "sequence-disparity-lsq")
_LEAST_DEPTH = 1e-6


@dataclass(frozen=True)
class Moments:
    """The sums that a least-squares line needs; those of a sequence are the sum over its images.

    ``a00`` sum p^2, ``a01`` sum p, ``a11`` number of pixels, ``b0`` sum p*y, ``b1`` sum y, for a
    prediction p and a target y.
    """

    a00: float = 0.0
    a01: float = 0.0
    a11: float = 0.0
    b0: float = 0.0
    b1: float = 0.0

    @classmethod
    def of(cls, prediction: Values, target: Values) -> Moments:
        """The sums over two arrays of one shape, finite."""
        p, y = prediction.astype(np.float64).ravel(), target.astype(np.float64).ravel()
        # einsum, not @: BLAS would start threads for it, which wait for one another on a busy CPU.
        squares, products = (float(np.einsum("i,i->", p, other)) for other in (p, y))
        return cls(squares, float(p.sum()), float(p.size), products, float(y.sum()))

    def __add__(self, other: Moments) -> Moments:
        """The sums over the pixels of both."""
        return Moments(
            self.a00 + other.a00,
            self.a01 + other.a01,
            self.a11 + other.a11,
            self.b0 + other.b0,
            self.b1 + other.b1,
        )

    def solve(self) -> Fit:
        """The line that minimises sum (s*p + t - y)^2; of a constant p: (1, mean difference)."""
        if not self.a11:
            return Fit()
        determinant = self.a00 * self.a11 - self.a01 * self.a01
        if determinant <= 1e-12 * max(self.a00 * self.a11, 1e-300):
            return Fit(1.0, (self.b1 - self.a01) / self.a11)
        return Fit(
            (self.a11 * self.b0 - self.a01 * self.b1) / determinant,
            (self.a00 * self.b1 - self.a01 * self.b0) / determinant,
        )


@dataclass(frozen=True)
class Fit:
    """Scale and shift of a prediction."""

    scale: float = 1.0
    shift: float = 0.0


def solve_space(raw: Values, kind: Kind, align: Align) -> NDArray[np.float64]:
    """The prediction as what its alignment works on: inverse depth, or depth.

    Where it has to be inverted, values of 0 and less become infinitely far (inverse depth 0, or
    depth infinity). Non-finite values stay as they are.
    """
    values = raw.astype(np.float64)
    if (align in _ON_DISPARITY) == (kind == "inverse_depth"):
        return values
    with np.errstate(divide="ignore"):
        inverted = 1 / np.where(values > 0, values, 0 if kind == "inverse_depth" else np.inf)
    return np.where(np.isnan(values), np.nan, inverted)


def fit(space: Values, truth_m: Values, align: Align) -> Fit:
    """Lay a prediction over the truth.

    Args:
        space: prediction of the valid pixels from :func:`solve_space`, 1-D.
        truth_m: their depth in metres.
        align: any but ``sequence-disparity-lsq``, whose :class:`Moments` are added up first, is
            done with these pixels; pixels whose prediction is not finite take no part.
    """
    if align == "none":
        return Fit()
    seen = np.isfinite(space)
    if align == "median":
        # An infinitely far prediction has its place in the order, and so in the median.
        middle = float(np.median(space[~np.isnan(space)])) if not np.isnan(space).all() else 0.0
        usable = np.isfinite(middle) and middle > 0
        return Fit(float(np.median(truth_m)) / middle) if usable else Fit()
    return moments(space[seen], truth_m[seen], align).solve()


def moments(space: Values, truth_m: Values, align: Align) -> Moments:
    """The sums of the least squares over these pixels (finite): on inverse depth, or on depth."""
    truth = truth_m.astype(np.float64)
    return Moments.of(space, 1 / truth if align in _ON_DISPARITY else truth)


def to_depth_m(
    space: Values, line: Fit, align: Align, min_depth_m: float, max_depth_m: float
) -> NDArray[np.float64]:
    """Aligned depth in metres, clamped to the range; infinity becomes its far end, NaN its near.

    Inverse depth is raised to 1/max_depth_m before it is inverted (MiDaS).
    """
    with np.errstate(invalid="ignore"):
        aligned = line.scale * space + line.shift
    if align in _ON_DISPARITY:
        aligned = 1 / np.maximum(aligned, 1 / max_depth_m)
    elif align == "depth-lsq":
        aligned = np.maximum(aligned, _LEAST_DEPTH)
    clamped = np.clip(aligned, min_depth_m, max_depth_m)
    return np.where(np.isnan(clamped), min_depth_m, clamped)

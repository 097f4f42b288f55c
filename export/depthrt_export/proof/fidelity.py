"""How faithful a depth map is to a reference depth map of the same frame; no labels needed.

The reference is what the float network gives. Pure functions of numpy arrays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depthrt.spec import Kind
from depthrt_benchmarks.evaluation.protocol.alignment import Moments

Map = NDArray[np.float32]

_DELTA = 1.25
_FARTHEST = 100.0  # depths beyond this many times the nearest one count as that far
_FLAT = 1e-3  # a map whose spread is below this share of its values is flat


@dataclass(frozen=True)
class Fidelity:
    """Figures of one frame.

    - ``sqnr_db``: signal to quantisation-noise ratio in dB; larger is better; infinite if equal;
    - ``pearson``: correlation, -1..1; NaN-free: 0 where one of both maps is constant;
    - ``delta1``: share of pixels whose aligned depth is within a factor of 1.25, 0..1;
    - ``mean_error``, ``max_error``: mean and greatest |difference| over the reference's spread.
    """

    sqnr_db: float
    pearson: float
    delta1: float
    mean_error: float
    max_error: float


def fidelity(reference: Map, depth: Map, kind: Kind = "inverse_depth") -> Fidelity:
    """All figures for one frame; both maps float, H,W, finite, in the network's own output."""
    r, d = reference.astype(np.float64), depth.astype(np.float64)
    difference, scale = np.abs(d - r), spread(reference)
    return Fidelity(
        sqnr_db=sqnr_db(reference, depth),
        pearson=pearson(reference, depth),
        delta1=aligned_delta1(reference, depth, kind),
        mean_error=float(difference.mean()) / scale,
        max_error=float(difference.max()) / scale,
    )


def spread(reference: Map) -> float:
    """The 2-98 percentile spread; of a flat map, a thousandth of its greatest |value|.

    The floor keeps float rounding of a flat map (an untrained network's) from looking like error.
    """
    low, high = np.percentile(reference.astype(np.float64), (2, 98))
    return max(float(high - low), _FLAT * float(np.abs(reference).max()), 1e-12)


def sqnr_db(reference: Map, depth: Map) -> float:
    """10 log10(sum r^2 / sum (d - r)^2)."""
    r = reference.astype(np.float64)
    noise = float(((depth.astype(np.float64) - r) ** 2).sum())
    signal = float((r**2).sum())
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def pearson(reference: Map, depth: Map) -> float:
    """Pearson's correlation coefficient over all pixels; 0 where a map is constant."""
    r = reference.astype(np.float64) - reference.mean(dtype=np.float64)
    d = depth.astype(np.float64) - depth.mean(dtype=np.float64)
    norm = math.sqrt(float((r**2).sum()) * float((d**2).sum()))
    return float((r * d).sum()) / norm if norm > 0 else 0.0


def disparity_lsq(prediction: Map, target: Map) -> tuple[float, float]:
    """Scale s and shift t that minimise sum (s * prediction + t - target)^2.

    The solve of MiDaS (Ranftl et al., TPAMI 2022; ``compute_scale_and_shift`` in its evaluation).
    Of a constant prediction: (1, mean difference).
    """
    line = Moments.of(prediction, target).solve()
    return line.scale, line.shift


def aligned_delta1(reference: Map, depth: Map, kind: Kind = "inverse_depth") -> float:
    """Share of pixels with max(d/r, r/d) < 1.25 after ``disparity-lsq`` of ``depth``.

    delta1 after Eigen et al., NeurIPS 2014. Inverse depth below a hundredth of its 98th percentile
    is raised to that: such pixels are "far" and their ratio means nothing.
    """
    r, d = _disparity(reference, kind), _disparity(depth, kind)
    scale, shift = disparity_lsq(d, r)
    floor = max(float(np.percentile(r, 98)) / _FARTHEST, 1e-12)
    r, d = np.maximum(r, floor), np.maximum(d.astype(np.float64) * scale + shift, floor)
    return float((np.maximum(d / r, r / d) < _DELTA).mean())


def summary(frames: Sequence[Fidelity]) -> dict[str, float]:
    """Mean and worst frame of every figure, rounded to what means something; infinite dB as 999."""
    values: dict[str, float] = {}
    for name, worst in (
        ("sqnr_db", min),
        ("pearson", min),
        ("delta1", min),
        ("mean_error", max),
        ("max_error", max),
    ):
        column = [float(np.clip(getattr(frame, name), -999, 999)) for frame in frames]
        values[name] = float(f"{sum(column) / len(column):.6g}")
        values[f"worst_{name}"] = float(f"{worst(column):.6g}")
    return values


def _disparity(values: Map, kind: Kind) -> Map:
    if kind == "inverse_depth":
        return values
    floor = max(float(np.percentile(values, 2)) / _FARTHEST, 1e-12)
    return np.asarray(1.0 / np.maximum(values.astype(np.float64), floor), np.float32)

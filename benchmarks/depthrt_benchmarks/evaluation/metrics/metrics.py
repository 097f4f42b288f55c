"""The figures of one image: aligned depth against ground truth, over its valid pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
BIN_EDGES_M = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 40.0, 80.0)


@dataclass(frozen=True)
class Metric:
    """A figure: its key, how it is written, and whether larger is better."""

    key: str
    title: str
    larger_is_better: bool


METRICS = (
    Metric("abs_rel", "AbsRel", False),
    Metric("delta1", "δ1", True),
    Metric("delta2", "δ2", True),
    Metric("delta3", "δ3", True),
    Metric("rmse", "RMSE m", False),
    Metric("log10", "log10", False),
    Metric("rmse_log", "RMSElog", False),
    Metric("silog", "SILog", False),
    Metric("sq_rel", "SqRel", False),
    Metric("boundary_f1", "edge F1", True),
)
BY_KEY = {metric.key: metric for metric in METRICS}


def absolute_relative(depth_m: Values, truth_m: Values) -> float:
    """AbsRel: mean \\|p - g\\| / g over the pixels (Eigen et al., NeurIPS 2014)."""
    return float(np.mean(np.abs(depth_m - truth_m) / truth_m))


def depth_metrics(depth_m: Values, truth_m: Values) -> dict[str, float]:
    """All figures but the boundary's, by key.

    With e = ln p - ln g, over pixels: delta_k = share of max(p/g, g/p) < 1.25^k; AbsRel = mean
    \\|p-g\\|/g; SqRel = mean (p-g)^2/g; RMSE in metres; RMSElog = sqrt mean e^2; log10 = mean
    \\|log10 p - log10 g\\| (Eigen et al., NeurIPS 2014); SILog = 100 sqrt(mean e^2 - (mean e)^2)
    (as ZoeDepth computes it).

    Args:
        depth_m, truth_m: metres, above 0, float64, 1-D, of one length above 0.
    """
    ratio = np.maximum(depth_m / truth_m, truth_m / depth_m)
    squared = (depth_m - truth_m) ** 2
    error = np.log(depth_m) - np.log(truth_m)
    mean_square = float(np.mean(error**2))
    return {
        "abs_rel": absolute_relative(depth_m, truth_m),
        **{f"delta{k}": float(np.mean(ratio < 1.25**k)) for k in (1, 2, 3)},
        "rmse": float(np.sqrt(np.mean(squared))),
        "log10": float(np.mean(np.abs(error))) / math.log(10),
        "rmse_log": float(np.sqrt(mean_square)),
        "silog": 100 * float(np.sqrt(max(mean_square - float(np.mean(error)) ** 2, 0.0))),
        "sq_rel": float(np.mean(squared / truth_m)),
    }


@dataclass(frozen=True)
class Bin:
    """One image's pixels whose true depth lies in a range of :data:`BIN_EDGES_M`."""

    index: int
    pixels: int
    abs_rel: float
    delta1: float


def range_bins(depth_m: Values, truth_m: Values) -> list[Bin]:
    """AbsRel and delta1 by true depth; the last range has no end."""
    where = np.searchsorted(BIN_EDGES_M, truth_m, side="right") - 1
    pixels = np.bincount(where)
    relative = np.bincount(where, np.abs(depth_m - truth_m) / truth_m)
    close = np.bincount(where, np.maximum(depth_m / truth_m, truth_m / depth_m) < 1.25)
    return [
        Bin(int(i), int(pixels[i]), float(relative[i] / pixels[i]), float(close[i] / pixels[i]))
        for i in np.flatnonzero(pixels)
    ]


def bin_name(index: int) -> str:
    """``1-2 m``, or ``80 m and more``."""
    low = f"{BIN_EDGES_M[index]:g}"
    if index + 1 == len(BIN_EDGES_M):
        return f"{low} m and more"
    return f"{low}-{BIN_EDGES_M[index + 1]:g} m"

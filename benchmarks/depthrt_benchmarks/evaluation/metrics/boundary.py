"""How sharp and well placed depth edges are: the boundary F1 of Depth Pro.

After Bochkovskii et al., Depth Pro, 2024 (``boundary_metrics.py``). A pixel is an edge to one of
its four neighbours where inverse depth is more than t times the neighbour's, for ten t from 1.05 to
1.25; precision and recall are means over the four directions, F1 is weighted by t. Where the truth
has holes, only neighbours that are both known count.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

THRESHOLDS = np.linspace(1.05, 1.25, 10)
_WEIGHTS = THRESHOLDS / THRESHOLDS.sum()
LEAST_SHARE = (
    0.5  # of the pixels that must have truth; edges of sparse truth are those of its holes
)


def boundary_f1(
    depth_m: NDArray[np.floating], truth_m: NDArray[np.floating], valid: NDArray[np.bool_]
) -> float:
    """F1, 0..1, larger is better.

    Args:
        depth_m: aligned depth, H,W, above 0.
        truth_m: ground truth, H,W, above 0 where valid.
        valid: where the truth is known, bool H,W.
    """
    both = [valid[:, 1:] & valid[:, :-1], valid[1:] & valid[:-1]]
    seen = [r[m] for r, m in zip(_ratios(depth_m), both, strict=True)]
    true = [r[m] for r, m in zip(_ratios(np.where(valid, truth_m, 1.0)), both, strict=True)]
    precision, recall = np.zeros(len(THRESHOLDS)), np.zeros(len(THRESHOLDS))
    for s, g in zip(seen, true, strict=True):
        # r > t is an edge seen from one side, 1/r > t from the other.
        for edges, real in ((_passed(s), _passed(g)), (_passed(1 / s), _passed(1 / g))):
            hits = _counts(np.minimum(edges, real))
            precision += hits / np.maximum(_counts(edges), 1) / 4
            recall += hits / np.maximum(_counts(real), 1) / 4
    scores = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(np.dot(scores, _WEIGHTS))


def _ratios(depth_m: NDArray[np.floating]) -> list[NDArray[np.float64]]:
    """Inverse depth over that of the neighbour to the left and above."""
    near = 1 / depth_m.astype(np.float64)
    return [near[:, 1:] / near[:, :-1], near[1:] / near[:-1]]


def _passed(ratios: NDArray[np.float64]) -> NDArray[np.intp]:
    """How many of the thresholds each ratio is above: most are above none."""
    numbers = np.zeros(ratios.shape, np.intp)
    over = ratios > THRESHOLDS[0]
    numbers[over] = np.searchsorted(THRESHOLDS, ratios[over], side="left")
    return numbers


def _counts(passed: NDArray[np.intp]) -> NDArray[np.float64]:
    """For each threshold, how many ratios are above it."""
    exactly = np.bincount(passed, minlength=len(THRESHOLDS) + 1)[1:]
    return np.cumsum(exactly[::-1])[::-1].astype(np.float64)

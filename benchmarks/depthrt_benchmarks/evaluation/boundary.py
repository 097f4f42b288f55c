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
    scores = [_f1(seen, true, float(threshold)) for threshold in THRESHOLDS]
    return float(np.dot(scores, _WEIGHTS))


def _ratios(depth_m: NDArray[np.floating]) -> list[NDArray[np.float64]]:
    """Inverse depth over that of the neighbour to the left and above."""
    near = 1 / depth_m.astype(np.float64)
    return [near[:, 1:] / near[:, :-1], near[1:] / near[:-1]]


def _f1(seen: list[NDArray[np.float64]], true: list[NDArray[np.float64]], t: float) -> float:
    precision = recall = 0.0
    for s, g in zip(seen, true, strict=True):
        # r > t is an edge seen from one side, 1/r > t from the other.
        for edge, real in ((s > t, g > t), (s < 1 / t, g < 1 / t)):
            hits = int(np.count_nonzero(edge & real))
            precision += hits / max(int(np.count_nonzero(edge)), 1) / 4
            recall += hits / max(int(np.count_nonzero(real)), 1) / 4
    total = precision + recall
    return 2 * precision * recall / total if total > 0 else 0.0

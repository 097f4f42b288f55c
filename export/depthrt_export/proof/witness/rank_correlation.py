"""How alike two depth maps are, whatever their units: Spearman's rank correlation."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Map: TypeAlias = NDArray[np.float32]  # h,w

_GRID = (64, 48)  # columns and rows that depth is compared at
_AROUND = 2.0  # cells of the grid, standard deviation; edges tell normalisations apart best


def rank_correlation(first: Map, second: Map) -> float:
    """Spearman's rank correlation of two depth maps at 64x48; 0 where one is flat or not finite."""
    return correlation(ranks(first), ranks(second))


def local_rank_correlation(first: Map, second: Map) -> float:
    """Likewise, of what stands out from its surroundings.

    Floors below and skies above make any two depth maps alike, even that of a network that sees
    nothing. The ranks' Gaussian mean around each point takes this out.
    """
    return correlation(stands_out(ranks(first)), stands_out(ranks(second)))


def ranks(depth: Map) -> NDArray[np.float64]:
    """Ranks 48,64 around 0; equal values share their mean rank; all 0 where one is not finite."""
    small = np.asarray(cv2.resize(depth, _GRID, interpolation=cv2.INTER_AREA), np.float32)
    if not np.isfinite(depth).all():
        return np.zeros(small.shape)
    _, place, counts = np.unique(small.ravel(), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    found = (last - (counts - 1) / 2)[place.ravel()].reshape(small.shape)
    return np.asarray(found - found.mean(), np.float64)


def stands_out(of_ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """What of ranks 48,64 the neighbourhood does not say."""
    return np.asarray(of_ranks - cv2.GaussianBlur(of_ranks, (0, 0), _AROUND), np.float64)


def correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The cosine between two maps of ranks; 0 where one is flat."""
    norms = float(np.linalg.norm(first)), float(np.linalg.norm(second))
    return float(first.ravel() @ second.ravel()) / (norms[0] * norms[1]) if min(norms) else 0.0

"""Maps of different networks on one scale: before they are mixed, and to see where they agree.

By the median and the mean absolute deviation from it (Ranftl et al., MiDaS, PAMI 2022, equation 5).
A least-squares fit of one map to another would flatten it where the two disagree.
"""

from __future__ import annotations

import cv2
import numpy as np

from depthrt_training.data.label_cache import FloatMap

DISAGREEMENT = 0.5
"""Difference of two normalised maps at which a pixel counts half."""

_SMOOTH = 1 / 32
"""Sigma, as a share of the short side, that smooths differences: edges of coarse maps are off."""


def normalised(depth: FloatMap) -> FloatMap:
    """H,W with median 0 and mean absolute deviation 1."""
    centred = depth - np.median(depth)
    return np.asarray(centred / max(float(np.abs(centred).mean()), 1e-6), dtype=np.float32)


def smooth(difference: FloatMap) -> FloatMap:
    """Blurred by 1/32 of the short side."""
    sigma = _SMOOTH * min(difference.shape)
    return np.asarray(cv2.GaussianBlur(difference, (0, 0), sigma), dtype=np.float32)


def confidence(one: FloatMap, other: FloatMap) -> FloatMap:
    """Weight of every pixel, 0..1: 1 where two normalised maps agree, half at `DISAGREEMENT`."""
    apart = smooth(np.abs(one - other))
    return np.asarray(1 / (1 + (apart / DISAGREEMENT) ** 2), dtype=np.float32)


def rank_agreement(one: FloatMap, other: FloatMap) -> float:
    """Spearman's rank correlation of two maps of one shape, -1..1, over a coarse grid."""
    size = (40, 32)
    ranks = []
    for depth in (one, other):
        coarse = np.asarray(cv2.resize(depth, size, interpolation=cv2.INTER_AREA)).ravel()
        ranks.append(coarse.argsort().argsort())
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])

"""Choose few diverse frames of many: one per scene, then farthest points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from depthrt_calibration.image_features import distances

Features = NDArray[np.float32]  # N,F

METHOD = (
    "one frame a scene (the nearest to the scene's mean), then farthest-point traversal "
    "(Gonzalez 1985); ties go to the earlier frame"
)


def choose(features: Features, scenes: Sequence[int], count: int) -> list[int]:
    """Indices, ascending, of at most ``count`` frames that cover all of them well.

    First the most typical frame of every scene is chosen, so that short scenes count, too; with
    more scenes than ``count``, the most different of these. Then frames are added farthest first:
    always the frame with the greatest distance to the nearest chosen one. This covers all frames
    within twice the smallest possible radius (T. F. Gonzalez, "Clustering to
    minimize the maximum intercluster distance", Theoretical Computer Science 38, 1985).

    Deterministic: equal features in equal order give equal indices.

    Args:
        features: float32 N,F.
        scenes: the scene of every frame, N.
        count: number of frames to choose, at least 1.
    """
    if len(features) <= count:
        return list(range(len(features)))
    typical = _typical_of_scenes(features, np.asarray(scenes))
    if len(typical) > count:
        subset = farthest(features[typical], count, [])
        return sorted(typical[i] for i in subset)
    return sorted(farthest(features, count, typical))


def farthest(features: Features, count: int, chosen: Sequence[int]) -> list[int]:
    """``chosen`` and then farthest points, ``count`` in all; without any, starts near the mean."""
    found = list(chosen) or [_nearest_to_mean(features)]
    nearest = np.full(len(features), np.inf, np.float32)
    for index in found:
        nearest = np.minimum(nearest, distances(features, features[index]))
    nearest[found] = -1  # never choose a frame twice, even among equal ones
    while len(found) < min(count, len(features)):
        index = int(np.argmax(nearest))
        found.append(index)
        nearest = np.minimum(nearest, distances(features, features[index]))
        nearest[index] = -1
    return found


def nearest_other(features: Features) -> list[float]:
    """For every frame the distance to the nearest other one; 0 for a single frame."""
    found = []
    for index, one in enumerate(features):
        apart = np.delete(distances(features, one), index)
        found.append(float(apart.min()) if len(apart) else 0.0)
    return found


def _typical_of_scenes(features: Features, scenes: NDArray[np.int_]) -> list[int]:
    found = []
    for scene in np.unique(scenes):
        members = np.flatnonzero(scenes == scene)
        found.append(int(members[_nearest_to_mean(features[members])]))
    return found


def _nearest_to_mean(features: Features) -> int:
    return int(np.argmin(distances(features, features.mean(axis=0))))

"""Two networks on the same pictures: ratio or difference of their means, with its interval.

Resampled are the pictures of each set, the same for both networks. Neighbouring frames are alike,
so the intervals are narrower than those of as many independent pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from depthrt_benchmarks.common.bootstrap import bootstrap_bounds

Values = npt.NDArray[np.float64]
Pair = tuple[Sequence[float], Sequence[float]]
"""A figure of every picture of a set: of the first network, of the second."""

RESAMPLES = 2000
INTERVAL = (
    f"95%, percentile bootstrap over the pictures of each set, both networks alike, {RESAMPLES} "
    "resamples, fixed seed; null where a set has one picture"
)
_ALPHA = 0.05


def ratio(sets: Sequence[Pair]) -> dict[str, Any]:
    """The first network's mean over the second's; of several sets the mean of their ratios."""
    return _over_sets(sets, np.divide)


def difference(sets: Sequence[Pair]) -> dict[str, Any]:
    """The first network's mean minus the second's; of several sets the mean of the differences."""
    return _over_sets(sets, np.subtract)


def _over_sets(sets: Sequence[Pair], compare: Callable[[Values, Values], Values]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    values, resampled = [], []
    for first, second in sets:
        both = np.array([first, second])  # 2,n
        drawn = both[:, rng.integers(both.shape[1], size=(RESAMPLES, both.shape[1]))].mean(axis=2)
        values.append(float(compare(both[0].mean(), both[1].mean())))
        resampled.append(compare(drawn[0], drawn[1]))
    value, count = float(np.mean(values)), sum(len(first) for first, _ in sets)
    if count == len(sets):
        return {"value": round(value, 4), "low": None, "high": None}
    low, high = bootstrap_bounds(value, np.mean(resampled, axis=0), count, _ALPHA)
    return {"value": round(value, 4), "low": round(low, 4), "high": round(high, 4)}

"""The percentile bootstrap interval, widened for few samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from depthrt.confidence_interval import widening


def bootstrap_bounds(
    centre: float, resampled: NDArray[np.float64], count: int, alpha: float
) -> tuple[float, float]:
    """Lower and upper bound of a statistic, from its values over resamples.

    The percentile interval of few samples is too narrow. Its reach to either side of the statistic
    is widened by :func:`~depthrt.confidence_interval.widening`.

    Args:
        centre: the statistic of the samples themselves.
        resampled: the statistic of each resample, 1-D.
        count: how many independent samples were drawn from, 2 or more.
        alpha: how often the interval may miss the true value.
    """
    low, high = (float(v) for v in np.quantile(resampled, (alpha / 2, 1 - alpha / 2)))
    wider = widening(count, alpha)
    return centre - wider * max(0.0, centre - low), centre + wider * max(0.0, high - centre)

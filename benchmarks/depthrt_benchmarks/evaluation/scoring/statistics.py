"""Means over images with bootstrap intervals, and two models compared image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from depthrt_benchmarks.common.bootstrap import bootstrap_bounds
from depthrt_benchmarks.evaluation.metrics.metrics import METRICS, Metric, bin_name
from depthrt_benchmarks.evaluation.scoring.score import Row

RESAMPLES = 2000
_ALPHA = 0.05
_SEED = 0
_AT_ONCE = 64


@dataclass(frozen=True)
class Mean:
    """A mean over images, its interval, and the number of images."""

    value: float
    low: float
    high: float
    images: int


@dataclass(frozen=True)
class Difference:
    """The second model's mean minus the first's, over the images that both have.

    ``better`` is ``first`` or ``second`` where the interval does not hold 0, else ``cannot tell``,
    as for a single image.
    """

    metric: str
    value: float
    low: float
    high: float
    images: int
    better: str

    def turned(self) -> Difference:
        """The first model's mean minus the second's; the verdict stays."""
        return replace(self, value=-self.value, low=-self.high, high=-self.low)


@dataclass(frozen=True)
class Range:
    """Figures of the pixels in one range of true depth; ``share`` of all valid pixels."""

    name: str
    share: float
    images: int
    abs_rel: float
    delta1: float


def bootstrap_mean(
    values: Sequence[float], alpha: float = _ALPHA, resamples: int = RESAMPLES
) -> Mean:
    """The mean and its interval, from the means of resampled images.

    Images are drawn with replacement. The seed is fixed, so equal values give equal intervals. The
    interval of one image is its value. Frames of a video are alike, so their intervals are too
    narrow.

    Args:
        values: one for each image.
        alpha: how often the interval may miss the true mean; of the default, 95% hold it.
        resamples: how many times images are drawn.
    """
    numbers = np.asarray(values, np.float64)
    centre, count = float(numbers.mean()), len(numbers)
    if count == 1:
        return Mean(centre, centre, centre, 1)
    bounds = bootstrap_bounds(centre, _means(numbers, resamples), count, alpha)
    return Mean(centre, *bounds, count)


def _means(numbers: NDArray[np.float64], resamples: int) -> NDArray[np.float64]:
    random = np.random.default_rng(_SEED)
    count = len(numbers)
    return np.concatenate(
        [
            numbers[random.integers(0, count, (min(_AT_ONCE, resamples - begin), count))].mean(1)
            for begin in range(0, resamples, _AT_ONCE)
        ]
    )


def means(rows: Sequence[Row]) -> dict[str, Mean]:
    """The mean of every metric that an image has, in the order of :data:`METRICS`."""
    found = {}
    for metric in METRICS:
        values = [row.metrics[metric.key] for row in rows if metric.key in row.metrics]
        if values:
            found[metric.key] = bootstrap_mean(values)
    return found


def paired_differences(first: Sequence[Row], second: Sequence[Row]) -> list[Difference]:
    """The difference of every metric, over the images that both models have."""
    others = {row.name: row for row in second if not row.skipped}
    pairs = [(row, others[row.name]) for row in first if not row.skipped and row.name in others]
    found = []
    for metric in METRICS:
        both = [
            b.metrics[metric.key] - a.metrics[metric.key]
            for a, b in pairs
            if metric.key in a.metrics and metric.key in b.metrics
        ]
        if both:
            mean = bootstrap_mean(both)
            found.append(
                Difference(
                    metric.key, mean.value, mean.low, mean.high, mean.images, _better(metric, mean)
                )
            )
    return found


def _better(metric: Metric, difference: Mean) -> str:
    if difference.images < 2 or difference.low <= 0 <= difference.high:
        return "cannot tell"
    return "second" if (difference.value > 0) == metric.larger_is_better else "first"


def ranges(rows: Sequence[Row], least_pixels: int) -> list[Range]:
    """Figures by true depth: a mean per image, then over the images with enough pixels there."""
    total = sum(row.valid for row in rows if not row.skipped)
    bins: dict[int, list[tuple[int, float, float]]] = {}
    for row in rows:
        for found in row.bins:
            bins.setdefault(found.index, []).append((found.pixels, found.abs_rel, found.delta1))
    result = []
    for index, members in sorted(bins.items()):
        enough = [m for m in members if m[0] >= least_pixels]
        if enough:
            _, errors, close = (np.array(column) for column in zip(*enough, strict=True))
            share = sum(pixels for pixels, _, _ in members) / max(total, 1)
            name = bin_name(index)
            result.append(
                Range(name, share, len(enough), float(errors.mean()), float(close.mean()))
            )
    return result

"""Percentiles, and the interval of a ratio that stays true however often it is looked at.

Pairs of runs (head, base) come in blocks, each with sessions opened anew. Runs of one session are
alike in ways that runs of the next are not (where its buffers lie in memory), so the bootstrap
draws whole blocks (the cluster bootstrap; Davison and Hinkley, Bootstrap Methods, 1997, 3.8).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depthrt_benchmarks.student import widening

Values = NDArray[np.float64]

PERCENTILES = (50, 90, 95, 99)
_RESAMPLES = 6000
_CHUNK = 1_000_000  # values at a time while resampling
_MOST_PAIRS = 32  # of a block; more say nothing that another block would not say better


@dataclass(frozen=True)
class Interval:
    """An estimated ratio and where the true one lies with the stated confidence."""

    ratio: float
    low: float
    high: float


def percentiles(values_ms: Sequence[float]) -> dict[str, float]:
    """p50, p90, p95, p99 and the worst, in the unit of the values."""
    found = np.percentile(np.asarray(values_ms, np.float64), PERCENTILES)
    named = {f"p{n}": float(v) for n, v in zip(PERCENTILES, found, strict=True)}
    return {**named, "worst": float(max(values_ms))}


def ratio_interval(blocks: Sequence[Sequence[float]], alpha: float, seed: int = 0) -> Interval:
    """The median ratio of pairs and its two-sided bootstrap interval at confidence 1 - ``alpha``.

    Args:
        blocks: natural logarithms of head time over base time of each pair, by block; 2 or more.
        alpha: how often the interval may miss the true ratio.
        seed: of the resampling: the same pairs give the same interval.

    The percentile interval of few blocks is too narrow; its reach to either side is widened by
    t / z * sqrt(n / (n - 1)) with n blocks (Hesterberg, The American Statistician 69, 2015).
    """
    rows = _rows(blocks)
    count, length = rows.shape
    generator = np.random.default_rng(seed)
    medians: list[Values] = []
    step = max(1, _CHUNK // rows.size)
    for start in range(0, _RESAMPLES, step):
        drawn = generator.integers(0, count, (min(step, _RESAMPLES - start), count))
        medians.append(np.nanmedian(rows[drawn].reshape(len(drawn), count * length), axis=1))
    centre = float(np.nanmedian(rows))
    low, high = np.quantile(np.concatenate(medians), (alpha / 2, 1 - alpha / 2))
    wider = widening(count, alpha)
    reach_low, reach_high = max(0.0, centre - float(low)), max(0.0, float(high) - centre)
    return Interval(
        math.exp(centre),
        math.exp(centre - wider * reach_low),
        math.exp(centre + wider * reach_high),
    )


def earlier_interval(
    earlier: Sequence[float], now: Sequence[float], alpha: float, seed: int = 0
) -> Interval:
    """The ratio of two medians and its interval, where the two were not measured together.

    Both are logarithms of time over the yardstick's, one for each block; both are drawn anew, each
    for itself, and the reach is widened as for the smaller number of blocks.
    """
    generator = np.random.default_rng(seed)
    past, present = np.asarray(earlier, np.float64), np.asarray(now, np.float64)

    def drawn(values: Values) -> Values:
        chosen = generator.integers(0, len(values), (_RESAMPLES, len(values)))
        return np.asarray(np.median(values[chosen], axis=1), np.float64)

    centre = float(np.median(present) - np.median(past))
    low, high = np.quantile(drawn(present) - drawn(past), (alpha / 2, 1 - alpha / 2))
    wider = widening(min(len(past), len(present)), alpha)
    reach_low, reach_high = max(0.0, centre - float(low)), max(0.0, float(high) - centre)
    return Interval(
        math.exp(centre),
        math.exp(centre - wider * reach_low),
        math.exp(centre + wider * reach_high),
    )


def look_times_s(limit_s: float, looks: int) -> list[float]:
    """When to look: at the limit, and before that at halves of halves of it.

    The times are set beforehand. With the error shared out evenly (alpha / looks at each), all
    intervals hold together with confidence 1 - alpha (Bonferroni), so that stopping at any look
    for what its interval says is as honest as waiting for the end.
    """
    return [limit_s / 2**n for n in reversed(range(looks))]


def _rows(blocks: Sequence[Sequence[float]]) -> Values:
    """Blocks as rows of one length, filled up with NaN; long blocks are thinned evenly."""
    thinned = [np.asarray(b, np.float64)[:: math.ceil(len(b) / _MOST_PAIRS)] for b in blocks]
    rows = np.full((len(blocks), max(map(len, thinned))), np.nan)
    for row, values in zip(rows, thinned, strict=True):
        row[: len(values)] = values
    return rows

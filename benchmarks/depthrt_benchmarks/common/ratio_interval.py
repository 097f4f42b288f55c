"""Percentiles, and the intervals of the ratios of two sides that run in turn.

Pairs of runs (base, head) come in blocks, and each block opens its sessions anew. Runs of one
session share effects that the next session does not have (where its buffers lie in memory), so the
bootstrap draws whole blocks (the cluster bootstrap; Davison and Hinkley, Bootstrap Methods, 1997,
3.8). Each resample takes both sides from the same blocks, so load from elsewhere meets both.

There are three ratios: the median of the pairs' ratios, which half of the runs decide; mean over
mean, which is total time; and 90th percentile over 90th percentile, which one run in ten decides.
What happens in fewer than one run in ten shows only where it moves the mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from depthrt.confidence_interval import Interval
from depthrt_benchmarks.common.bootstrap import bootstrap_bounds

Values = NDArray[np.float64]

PERCENTILES = (50, 90, 95, 99)
_RESAMPLES = 6000
_CHUNK = 1_000_000  # values at a time while resampling
_MOST_PAIRS = 32  # of a block; more pairs add less than another block would


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

    Whole blocks are drawn, and the interval is that of :func:`bootstrap_bounds`.
    """
    rows = _rows(blocks)
    count, length = rows.shape
    generator = np.random.default_rng(seed)
    medians: list[Values] = []
    step = max(1, _CHUNK // rows.size)
    for start in range(0, _RESAMPLES, step):
        drawn = generator.integers(0, count, (min(step, _RESAMPLES - start), count))
        medians.append(np.nanmedian(rows[drawn].reshape(len(drawn), count * length), axis=1))
    return _interval(float(np.nanmedian(rows)), np.concatenate(medians), count, alpha)


def mean_interval(
    blocks_ms: Sequence[Sequence[tuple[float, float]]], alpha: float, seed: int = 0
) -> Interval:
    """Mean head time over mean base time, and its interval as :func:`ratio_interval` makes it.

    A few very long runs do not push the interval above a limit, because most resamples leave their
    blocks out.

    Args:
        blocks_ms: milliseconds (base, head) of each pair, by block; 2 blocks or more.
        alpha: how often the interval may miss the true ratio.
        seed: of the resampling.
    """
    totals = np.array([np.sum(block, axis=0) for block in blocks_ms], np.float64)
    drawn = _times_drawn(len(blocks_ms), seed) @ totals
    centre = float(np.log(totals[:, 1].sum() / totals[:, 0].sum()))
    return _interval(centre, np.log(drawn[:, 1] / drawn[:, 0]), len(blocks_ms), alpha)


def p90_interval(
    blocks_ms: Sequence[Sequence[tuple[float, float]]], alpha: float, seed: int = 0
) -> Interval:
    """The head's 90th percentile over the base's, and its interval; as :func:`mean_interval`.

    The percentile is the least time that 90% of the runs do not exceed.
    """
    block_of = np.repeat(np.arange(len(blocks_ms)), [len(block) for block in blocks_ms])
    times = np.concatenate([np.asarray(block, np.float64) for block in blocks_ms])
    weights = np.vstack([np.ones(len(blocks_ms)), _times_drawn(len(blocks_ms), seed)])
    base, head = (_p90(times[:, side], block_of, weights) for side in (0, 1))
    ratios = np.log(head / base)
    return _interval(float(ratios[0]), ratios[1:], len(blocks_ms), alpha)


def _p90(times: Values, block_of: NDArray[np.intp], weights: Values) -> Values:
    """The 90th percentile for every row of weights: how often each block was drawn."""
    order = np.argsort(times, kind="stable")
    ordered, blocks = times[order], block_of[order]
    found = []
    step = max(1, _CHUNK // len(times))
    for begin in range(0, len(weights), step):
        reached = np.cumsum(weights[begin : begin + step, blocks], axis=1)
        found.append(ordered[np.argmax(reached >= 0.9 * reached[:, -1:], axis=1)])
    return np.concatenate(found)


def _times_drawn(count: int, seed: int) -> Values:
    """How often each of so many blocks is in each resample (resamples, count)."""
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(count, np.full(count, 1 / count), _RESAMPLES)
    return np.asarray(drawn, np.float64)


def earlier_interval(
    earlier: Sequence[float], now: Sequence[float], alpha: float, seed: int = 0
) -> Interval:
    """The ratio of two medians and its interval, where the two were not measured together.

    Each side is resampled by itself, and the interval is widened as for the smaller number of
    blocks.

    Args:
        earlier, now: logarithms of time over the yardstick's time, one for each block.
        alpha: how often the interval may miss the true ratio.
        seed: of the resampling.
    """
    generator = np.random.default_rng(seed)
    past, present = np.asarray(earlier, np.float64), np.asarray(now, np.float64)

    def drawn(values: Values) -> Values:
        chosen = generator.integers(0, len(values), (_RESAMPLES, len(values)))
        return np.asarray(np.median(values[chosen], axis=1), np.float64)

    centre = float(np.median(present) - np.median(past))
    count = min(len(past), len(present))
    return _interval(centre, drawn(present) - drawn(past), count, alpha)


def _interval(centre: float, resampled: Values, count: int, alpha: float) -> Interval:
    """The interval of a ratio, from its logarithm and that of its resamples."""
    low, high = bootstrap_bounds(centre, resampled, count, alpha)
    return Interval(math.exp(centre), math.exp(low), math.exp(high))


def look_times_s(limit_s: float, looks: int) -> list[float]:
    """Times of the looks at the data: the limit, half of it, a quarter of it and so on.

    The times are fixed beforehand. With the error shared evenly (alpha / looks for each look), all
    intervals hold together with confidence 1 - alpha (Bonferroni), so a comparison may stop at any
    look.
    """
    return [limit_s / 2**n for n in reversed(range(looks))]


def _rows(blocks: Sequence[Sequence[float]]) -> Values:
    """Blocks as rows of one length, filled up with NaN; long blocks are thinned evenly."""
    thinned = [np.asarray(b, np.float64)[:: math.ceil(len(b) / _MOST_PAIRS)] for b in blocks]
    rows = np.full((len(blocks), max(map(len, thinned))), np.nan)
    for row, values in zip(rows, thinned, strict=True):
        row[: len(values)] = values
    return rows

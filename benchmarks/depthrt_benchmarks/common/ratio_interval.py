"""Percentiles, and the interval of a ratio that stays true however often it is looked at.

Pairs of runs (head, base) come in blocks, each with sessions opened anew. Runs of one session are
alike in ways that runs of the next are not (where its buffers lie in memory), so the bootstrap
draws whole blocks (the cluster bootstrap; Davison and Hinkley, Bootstrap Methods, 1997, 3.8). Every
resample takes both sides from the same blocks, so that what the machine did meanwhile met both.

Three ratios are looked at: the median of the pairs' ratios, which one run in two decides; mean over
mean, which is total time; and 90th percentile over 90th percentile, which one run in ten decides.
What happens in fewer than one run in ten is seen only where it moves the mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from depthrt.intervals import Interval, widening

Values = NDArray[np.float64]

PERCENTILES = (50, 90, 95, 99)
_RESAMPLES = 6000
_CHUNK = 1_000_000  # values at a time while resampling
_MOST_PAIRS = 32  # of a block; more say nothing that another block would not say better


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
    return _interval(float(np.nanmedian(rows)), np.concatenate(medians), count, alpha)


def mean_interval(
    blocks_ms: Sequence[Sequence[tuple[float, float]]], alpha: float, seed: int = 0
) -> Interval:
    """Mean head time over mean base time, and its interval as :func:`ratio_interval` makes it.

    Few very long runs do not make it lie above a limit: most resamples draw none of their blocks.

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
    """The head's 90th percentile over the base's, and its interval; arguments as those of the mean.

    The percentile is the least time that 90% of the runs do not exceed.
    """
    block_of = np.repeat(np.arange(len(blocks_ms)), [len(block) for block in blocks_ms])
    times = np.concatenate([np.asarray(block, np.float64) for block in blocks_ms])
    weights = np.vstack([np.ones(len(blocks_ms)), _times_drawn(len(blocks_ms), seed)])
    base, head = (_p90(times[:, side], block_of, weights) for side in (0, 1))
    ratios = np.log(head / base)
    return _interval(float(ratios[0]), ratios[1:], len(blocks_ms), alpha)


def _p90(times: Values, block_of: NDArray[np.intp], weights: Values) -> Values:
    """The percentile for every row of weights, which say how often each block was drawn."""
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

    Both are logarithms of time over the yardstick's, one for each block; both are drawn anew, each
    for itself, and the reach is widened as for the smaller number of blocks.
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
    """The interval of a logarithm from its resamples of so many blocks, as a ratio's."""
    low, high = np.quantile(resampled, (alpha / 2, 1 - alpha / 2))
    wider = widening(count, alpha)
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

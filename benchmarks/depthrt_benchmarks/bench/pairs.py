"""Two runners in turn: blocks of pairs, until the interval of their ratio says enough."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from depthrt_benchmarks.bench.runners import Runner
from depthrt_benchmarks.bench.statistics import Interval, look_times_s, ratio_interval

Verdict = Literal["faster", "slower", "cannot tell"]

_WARM_UP = 2  # runs of each after it was opened
FEWEST_BLOCKS = 10  # below that no interval is to be trusted
LOOKS = 6
_BLOCK_S = 0.1
_FEWEST_PAIRS, _MOST_PAIRS = 2, 32


@dataclass(frozen=True)
class Rules:
    """When a comparison is over.

    - ``alpha``: how often the interval may miss the true ratio, all looks together;
    - ``margin``: a difference below this is none: slower means the interval lies above 1 + margin;
    - ``fail_above``: a gate: over when the interval lies above it or below it;
    - ``limit_s``: the longest it may take.
    """

    alpha: float = 0.01
    margin: float = 0.02
    fail_above: float | None = None
    limit_s: float = 60.0

    def verdict(self, interval: Interval) -> Verdict:
        """What an interval says of the head."""
        if interval.low > 1 + self.margin:
            return "slower"
        return "faster" if interval.high < 1 / (1 + self.margin) else "cannot tell"

    def regressed(self, interval: Interval) -> bool:
        """Whether the head is surely slower than the gate allows."""
        return self.fail_above is not None and interval.low > self.fail_above

    def sure(self, interval: Interval) -> bool:
        """Whether measuring on could change nothing that was asked."""
        if self.fail_above is not None:
            return interval.low > self.fail_above or interval.high <= self.fail_above
        return self.verdict(interval) != "cannot tell" or self.same(interval)

    def same(self, interval: Interval) -> bool:
        """Whether any difference is surely below the margin."""
        return interval.high < 1 + self.margin and interval.low > 1 / (1 + self.margin)


@dataclass
class Pairs:
    """What was measured: milliseconds of each pair (base, head) by block."""

    blocks: list[list[tuple[float, float]]] = field(default_factory=list)
    interval: Interval = field(default_factory=lambda: Interval(1.0, 0.0, math.inf))
    looks: int = 0
    seconds: float = 0.0
    sure: bool = False

    @property
    def count(self) -> int:
        """Pairs in all blocks."""
        return sum(map(len, self.blocks))

    def times_ms(self, side: int) -> list[float]:
        """All times of the base (0) or the head (1)."""
        return [pair[side] for block in self.blocks for pair in block]

    def log_ratios(self) -> list[list[float]]:
        """ln(head / base) of every pair, by block."""
        return [[math.log(head / base) for base, head in block] for block in self.blocks]


def compare_in_turn(
    base: Runner,
    head: Runner,
    rules: Rules,
    progress: Callable[[Pairs], None] = lambda pairs: None,
) -> Pairs:
    """Run both in turn until it is sure which is faster, or the time is up.

    Both are opened anew for every block, the one first that came second before. Within a block they
    alternate strictly, so that each always runs after the other: a run after one's own is up to
    20% faster, and pairs of alternating order have two humps with the median between.

    The looks are at times set beforehand and share the allowed error (:func:`look_times_s`); a late
    look counts once, and ten blocks are run even where that takes longer than the limit.
    """
    pairs, begin_s = Pairs(), time.perf_counter()
    due = look_times_s(rules.limit_s, LOOKS)
    try:
        while due:
            pairs.blocks.append(_block(base, head, len(pairs.blocks)))
            pairs.seconds = time.perf_counter() - begin_s
            if pairs.seconds < due[0] or len(pairs.blocks) < FEWEST_BLOCKS:
                progress(pairs)
                continue
            due = [at_s for at_s in due if at_s > pairs.seconds]
            pairs.interval = ratio_interval(pairs.log_ratios(), rules.alpha / LOOKS)
            pairs.looks += 1
            pairs.sure = rules.sure(pairs.interval)
            progress(pairs)
            if pairs.sure:
                break
    finally:
        base.close()
        head.close()
    return pairs


def _block(base: Runner, head: Runner, number: int) -> list[tuple[float, float]]:
    """Open both anew and take pairs, for as long as opening them took, in bounds."""
    runners = (base, head)
    order: Sequence[int] = (0, 1) if number % 2 else (1, 0)
    start_s = time.perf_counter()
    for side in order:
        runners[side].open()
    opened_s = time.perf_counter() - start_s
    pair_ms = sum(float(np.min(runners[side].run(_WARM_UP))) for side in order)
    wanted = 1e3 * max(_BLOCK_S, opened_s) / pair_ms
    block = []
    for _ in range(round(min(max(wanted, _FEWEST_PAIRS), _MOST_PAIRS))):
        pair = [0.0, 0.0]
        for side in order:
            (pair[side],) = runners[side].run()
        block.append((pair[0], pair[1]))
    return block

"""Two runners in turn, in blocks of pairs, until the interval of their ratio is clear."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from depthrt.confidence_interval import Interval
from depthrt.errors import InferenceError
from depthrt_benchmarks.bench.measure.runners import Runner
from depthrt_benchmarks.common.ratio_interval import (
    look_times_s,
    mean_interval,
    p90_interval,
    ratio_interval,
)

Verdict = Literal["faster", "slower", "cannot tell"]

_WARM_UP = 2  # runs of each after it was opened
FEWEST_BLOCKS = 10  # below that no interval is to be trusted
LOOKS = 6
STATISTICS = ("median", "mean", "p90")
_BLOCK_S = 0.1
_FEWEST_PAIRS, _MOST_PAIRS = 2, 32


@dataclass(frozen=True)
class Rules:
    """When a comparison ends.

    - ``alpha``: how often an interval may miss the true ratio, all looks together; with a gate,
      how often any of the three intervals may;
    - ``margin``: smaller differences do not matter: without a gate, the comparison goes on until
      the ratio is surely beyond it, or surely within;
    - ``fail_above``: the gate: it fails when the interval of the median, of the mean or of the
      90th percentile lies above it. The comparison ends when one does, or all lie below;
    - ``limit_s``: time limit in seconds.
    """

    alpha: float = 0.01
    margin: float = 0.02
    fail_above: float | None = None
    limit_s: float = 60.0

    @property
    def alpha_of_a_look(self) -> float:
        """How often one interval may miss at one look; all looks together keep ``alpha``."""
        return self.alpha / LOOKS / (1 if self.fail_above is None else len(STATISTICS))

    def verdict(self, interval: Interval) -> Verdict:
        """Whether the head is faster or slower: on which side of 1 the whole interval lies.

        Two equal sides are called faster or slower at most as often as ``alpha`` says, all looks
        together; :meth:`beyond_margin` is rarer still.
        """
        if interval.low > 1:
            return "slower"
        return "faster" if interval.high < 1 else "cannot tell"

    def beyond_margin(self, interval: Interval) -> bool:
        """Whether the difference is surely larger than the margin."""
        return interval.low > 1 + self.margin or interval.high < 1 / (1 + self.margin)

    def regressed(self, interval: Interval) -> bool:
        """Whether the head is surely slower than the gate allows; NaN counts as slower."""
        return self.fail_above is not None and not interval.low <= self.fail_above

    def settled(self, found: Mapping[str, Interval]) -> bool:
        """Whether all that was asked is clear, by all intervals of a comparison."""
        if self.fail_above is None:
            return self.sure(found["median"])
        return any(map(self.regressed, found.values())) or all(map(self.sure, found.values()))

    def sure(self, interval: Interval) -> bool:
        """Whether an interval answers what was asked."""
        if self.fail_above is not None:
            return interval.low > self.fail_above or interval.high <= self.fail_above
        return self.beyond_margin(interval) or self.same(interval)

    def same(self, interval: Interval) -> bool:
        """Whether any difference is surely below the margin."""
        return interval.high < 1 + self.margin and interval.low > 1 / (1 + self.margin)


@dataclass
class Pairs:
    """What was measured: milliseconds of each pair (base, head) by block.

    ``interval`` is the median's; ``mean`` and ``p90`` are None where they cannot be had.
    """

    blocks: list[list[tuple[float, float]]] = field(default_factory=list)
    interval: Interval = field(default_factory=lambda: Interval(1.0, 0.0, math.inf))
    mean: Interval | None = None
    p90: Interval | None = None
    looks: int = 0
    seconds: float = 0.0
    sure: bool = False

    @property
    def intervals(self) -> dict[str, Interval]:
        """The known intervals, by the names of :data:`STATISTICS`."""
        found = zip(STATISTICS, (self.interval, self.mean, self.p90), strict=True)
        return {name: interval for name, interval in found if interval is not None}

    def look(self, rules: Rules) -> None:
        """Compute the three intervals from the pairs so far."""
        alpha = rules.alpha_of_a_look
        self.interval = ratio_interval(self.log_ratios(), alpha)
        self.mean = mean_interval(self.blocks, alpha)
        self.p90 = p90_interval(self.blocks, alpha)
        self.looks += 1
        self.sure = rules.settled(self.intervals)

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


def time_in_turn(
    base: Runner,
    head: Runner,
    rules: Rules,
    progress: Callable[[Pairs], None] = lambda pairs: None,
) -> Pairs:
    """Run both in turn until the result is clear or the time is up.

    Every block opens both anew, in alternating order. Within a block they alternate strictly, so
    each always runs after the other: a run that follows one of its own side is up to 20% faster,
    and pairs of changing order would mix two distributions.

    The looks at the intervals are at times fixed beforehand and share the allowed error
    (:func:`look_times_s`). A late look counts once. Ten blocks are run even where that takes longer
    than the limit.
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
            pairs.look(rules)
            progress(pairs)
            if pairs.sure:
                break
    finally:
        base.close()
        head.close()
    return pairs


def _block(base: Runner, head: Runner, number: int) -> list[tuple[float, float]]:
    """Open both and time pairs, for about as long as opening took."""
    runners = (base, head)
    order: Sequence[int] = (0, 1) if number % 2 else (1, 0)
    start_s = time.perf_counter()
    for side in order:
        runners[side].open()
    opened_s = time.perf_counter() - start_s
    pair_ms = sum(min(_times(runners[side], _WARM_UP)) for side in order)
    wanted = 1e3 * max(_BLOCK_S, opened_s) / pair_ms
    block = []
    for _ in range(round(min(max(wanted, _FEWEST_PAIRS), _MOST_PAIRS))):
        pair = [0.0, 0.0]
        for side in order:
            (pair[side],) = _times(runners[side], 1)
        block.append((pair[0], pair[1]))
    return block


def _times(runner: Runner, runs: int) -> list[float]:
    """Milliseconds of each of ``runs`` runs.

    Raises:
        InferenceError: they are no times: not as many, NaN, infinite, 0 or less.
    """
    taken_ms = runner.run(runs)
    if len(taken_ms) != runs or not all(0 < ms < math.inf for ms in taken_ms):
        said = ", ".join(f"{ms:g}" for ms in taken_ms[:3]) or "nothing"
        raise InferenceError(f"a side says that {runs} runs took {said} ms, which are no times")
    return taken_ms

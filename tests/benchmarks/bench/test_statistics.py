"""Intervals on synthetic times whose true ratio is known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt.confidence_interval import Interval
from depthrt_benchmarks.bench.compare.comparison import Comparison, Setting, Side
from depthrt_benchmarks.bench.compare.pairs import Pairs, Rules
from depthrt_benchmarks.common import ratio_interval as statistics
from depthrt_benchmarks.common.ratio_interval import (
    earlier_interval,
    look_times_s,
    percentiles,
    ratio_interval,
)

TRUE = 1.07


@pytest.fixture(autouse=True)
def fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer resamples: these tests draw hundreds of intervals."""
    monkeypatch.setattr(statistics, "_RESAMPLES", 400)


def blocks(seed: int, count: int, between: float, heavy: bool = False) -> list[list[float]]:
    """Logarithms of ratios around the true one, blocks shifted as those of sessions are."""
    generator = np.random.default_rng(seed)
    shifts = generator.normal(0, between, (count, 1))
    noise = generator.standard_t(1.5, (count, 8)) if heavy else generator.normal(0, 1, (count, 8))
    rows: NDArray[np.float64] = math.log(TRUE) + shifts + 0.02 * noise
    return [list(row) for row in rows]


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("between", [0.0, 0.01])
@pytest.mark.parametrize("count", [10, 24])
def test_the_interval_holds_the_true_ratio_as_often_as_it_says(
    count: int, between: float, heavy: bool
) -> None:
    found = [ratio_interval(blocks(seed, count, between, heavy), 0.1, seed) for seed in range(80)]
    held = sum(one.low <= TRUE <= one.high for one in found)
    assert 0.79 * 80 <= held <= 79  # 90%, and three standard errors of 80 draws


def test_blocks_that_differ_are_not_taken_for_many_independent_pairs() -> None:
    alike, shifted = (ratio_interval(blocks(1, 12, spread), 0.05) for spread in (0.0, 0.05))
    assert shifted.high - shifted.low > 3 * (alike.high - alike.low)


def test_blocks_of_different_lengths_count_with_all_their_pairs() -> None:
    found = ratio_interval([[0.1], [0.1, 0.2, 0.2], [0.1, 0.1]] * 5, 0.05)
    assert found.ratio == pytest.approx(math.exp(0.1))
    assert found.low <= found.ratio <= found.high


def test_looking_six_times_errs_no_more_often_than_asked() -> None:
    """Stop at the first look that says a difference, where there is none."""
    rules, wrong, tries = Rules(alpha=0.1, margin=0.0), 0, 60
    for seed in range(tries):
        rows = [[v - math.log(TRUE) for v in row] for row in blocks(seed, 32, 0.01)]
        looks = [ratio_interval(rows[:n], rules.alpha / 6, seed) for n in (10, 12, 16, 20, 26, 32)]
        wrong += any(rules.verdict(look) != "cannot tell" for look in looks)
    assert wrong <= 0.1 * tries + 3 * math.sqrt(0.09 * tries)


def test_a_slow_down_of_ten_percent_is_found() -> None:
    rules = Rules()
    rows = [[v - math.log(TRUE) + math.log(1.1) for v in row] for row in blocks(3, 20, 0.01)]
    found = ratio_interval(rows, rules.alpha / 6)
    assert rules.verdict(found) == "slower"
    assert found.ratio == pytest.approx(1.1, abs=0.02)


def test_an_earlier_result_is_compared_by_both_their_scatters() -> None:
    generator = np.random.default_rng(0)
    held = 0
    for seed in range(80):
        past, now = generator.normal(0, 0.02, 15), generator.normal(math.log(TRUE), 0.02, 25)
        found = earlier_interval(list(past), list(now), 0.1, seed)
        held += found.low <= TRUE <= found.high
    assert held >= 0.79 * 80


@pytest.mark.parametrize(
    ("low", "high", "verdict", "fails", "sure"),
    [
        (1.06, 1.20, "slower", True, True),
        (1.04, 1.20, "slower", False, False),
        (1.03, 1.04, "slower", False, True),
        (0.99, 1.01, "cannot tell", False, True),
        (0.90, 1.20, "cannot tell", False, False),
        (0.80, 0.95, "faster", False, True),
    ],
)
def test_the_gate_fails_only_when_the_interval_lies_above(
    low: float, high: float, verdict: str, fails: bool, sure: bool
) -> None:
    rules, found = Rules(fail_above=1.05), Interval((low * high) ** 0.5, low, high)
    assert rules.verdict(found) == verdict
    assert rules.regressed(found) is fails
    assert rules.sure(found) is sure


def test_without_a_gate_it_is_sure_of_a_difference_or_that_there_is_none() -> None:
    rules = Rules(margin=0.02)
    assert rules.sure(Interval(1.1, 1.03, 1.2))
    assert rules.sure(Interval(1.0, 0.985, 1.015))
    assert not rules.sure(Interval(1.01, 0.985, 1.03))
    assert rules.same(Interval(1.0, 0.985, 1.015))


@pytest.mark.parametrize(
    ("low", "high", "verdict", "beyond", "words"),
    [
        (1.03, 1.20, "slower", True, ""),
        (1.005, 1.05, "slower", False, "; the median differs by perhaps less than 2%"),
        (1.005, 1.01, "slower", False, "; the median differs by less than 2%"),
        (0.975, 0.995, "faster", False, "; the median differs by perhaps less than 2%"),
        (0.99, 0.999, "faster", False, "; the median differs by less than 2%"),
        (0.80, 0.95, "faster", True, ""),
    ],
)
def test_an_interval_beside_1_is_no_cannot_tell(
    low: float, high: float, verdict: str, beyond: bool, words: str
) -> None:
    interval = Interval((low * high) ** 0.5, low, high)
    pairs, side = Pairs([[(1.0, 1.0)]], interval, looks=1), Side("a", Path("a"))
    facts: tuple[dict[str, str], dict[str, str]] = ({}, {})
    found = Comparison(side, Side("b", Path("b")), Setting(), Rules(), pairs, facts, ({}, {}))
    document = found.to_dict()
    assert (document["verdict"], document["beyond_margin"]) == (verdict, beyond)
    assert document["sentence"].startswith(f"b is {verdict} than a: median ")
    assert document["sentence"].endswith(words or ")")
    found.raise_if_regressed()  # no gate was asked for


def test_looks_are_set_beforehand() -> None:
    assert look_times_s(60, 6) == [1.875, 3.75, 7.5, 15, 30, 60]


def test_percentiles_and_worst() -> None:
    found = percentiles([float(n) for n in range(1, 102)])
    assert found == {"p50": 51, "p90": 91, "p95": 96, "p99": 100, "worst": 101}

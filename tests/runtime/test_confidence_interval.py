"""Intervals of ratios measured in pairs."""

from __future__ import annotations

import numpy as np
import pytest

from depthrt.confidence_interval import Interval, median_interval, paired_interval, student_t


@pytest.mark.parametrize(
    ("z", "freedom", "t"),
    [
        (1.959964, 1, 12.7062), (1.959964, 2, 4.30265), (1.959964, 5, 2.57058),
        (2.575829, 9, 3.24984), (1.959964, 20, 2.08596), (1.959964, 120, 1.97993),
        (1.959964, 5000, 1.96044),
    ],
)  # fmt: skip
def test_student_t_is_that_of_the_tables(z: float, freedom: int, t: float) -> None:
    assert student_t(z, freedom) == pytest.approx(t, rel=2e-5)


def test_a_paired_interval_is_that_of_the_t_test() -> None:
    found = paired_interval([0.0, 0.1, 0.1, 0.2], 0.05)  # t of 3 degrees of freedom: 3.18245
    reach = 3.18245 * (0.02 / 3) ** 0.5 / 2
    assert found.ratio == pytest.approx(np.exp(0.1))
    assert found.low == pytest.approx(np.exp(0.1 - reach), rel=1e-5)
    assert found.high == pytest.approx(np.exp(0.1 + reach), rel=1e-5)


def test_a_paired_interval_misses_as_rarely_as_said() -> None:
    random = np.random.default_rng(3)
    for count in (3, 8):
        found = [paired_interval(random.normal(0, 0.2, count).tolist(), 0.05) for _ in range(2000)]
        missed = sum(not each.low <= 1 <= each.high for each in found)
        assert missed == pytest.approx(100, abs=35), count


def test_two_pairs_that_differ_wildly_still_give_numbers() -> None:
    found = paired_interval([-3.0, 3.0], 0.001)
    assert found.ratio == 1
    assert 0 < found.low < 1e-20
    assert 1e20 < found.high < float("inf")


def test_a_median_interval_lies_between_order_statistics() -> None:
    ratios = [float(n) for n in range(1, 22)]
    # 2 P(B <= 5) = 0.027 for 21 coins, 2 P(B <= 6) = 0.078: the 6th from either end.
    assert median_interval(ratios, 0.05) == Interval(11, 6, 16)
    assert median_interval([3.0, 1.0, 2.0], 0.05) == Interval(2, 1, 3)


def test_an_interval_in_a_few_words() -> None:
    assert Interval(0.9688, 0.9, 1.052).line() == "0.97 [0.90, 1.05]"

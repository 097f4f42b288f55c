"""PSI, Wasserstein and their thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt.monitor.bins import Bins, counts
from depthrt.monitor.drift import Rate, Thresholds, measure, score_window, thresholds
from depthrt.monitor.reference import Reference, make_reference

Values = NDArray[np.float64]


def correlated(count: int, seed: int, memory: float = 0.9) -> Values:
    """An autoregressive series of variance 1, as features of neighbouring frames are."""
    random = np.random.default_rng(seed)
    noise = random.standard_normal(count) * np.sqrt(1 - memory**2)
    values = np.empty(count)
    values[0] = random.standard_normal()
    for i in range(1, count):
        values[i] = memory * values[i - 1] + noise[i]
    return values


def brightness(values: Values) -> list[dict[str, float]]:
    return [{"brightness": 0.5 + 0.1 * float(value)} for value in values]


def reference(count: int = 1200, seed: int = 0) -> Reference:
    return make_reference(brightness(correlated(count, seed)), source="noise", sample_s=0.5)


def test_bins_hold_about_as_many_values_each() -> None:
    bins = Bins.of(np.arange(1600.0), smallest=1.0)
    found = counts(bins.codes(np.arange(1600.0)), bins.count)
    assert found[bins.first : bins.last + 1].tolist() == [100] * 16
    assert found.sum() == 1600
    assert bins.codes(np.array([-1e9, 1e9, np.nan])).tolist() == [0, bins.count - 1, -1]


def test_bins_of_equal_values_are_as_wide_as_what_matters() -> None:
    bins = Bins.of(np.full(20, 0.3), smallest=0.02)
    inner = bins.edges[bins.first - 1 : bins.last + 1]
    assert inner == pytest.approx((0.29, 0.3, 0.31))
    assert bins.width == 0.02


def test_psi_is_that_of_the_formula() -> None:
    bins = Bins.of(np.linspace(0, 1, 1601), smallest=0.01)
    usual = np.zeros(bins.count)
    usual[bins.first : bins.last + 1] = 100
    window = np.zeros(bins.count)
    window[bins.first : bins.first + 8] = 20  # the lower half of the values alone
    p = np.array([0.5, *[40.5] * 4, *[0.5] * 4, 0.5])  # two bins are one group; half a count each
    q = np.array([0.5, *[200.5] * 8, 0.5])
    p, q = p / p.sum(), q / q.sum()
    expected = float(((p - q) * np.log(p / q)).sum())
    assert float(measure(bins, usual, window).psi) == pytest.approx(expected)
    assert float(measure(bins, usual, usual).psi) == 0


def test_wasserstein_of_a_shift_is_the_shift_over_the_width() -> None:
    random = np.random.default_rng(2)
    values = random.uniform(0, 1, 20_000)
    bins = Bins.of(values, smallest=0.01)
    usual = counts(bins.codes(values), bins.count)
    shifted = counts(bins.codes(values * 0.5 + 0.4), bins.count)
    # between [0, 1] and [0.4, 0.9]: |0.4 - u / 2| over u
    expected = (0.4 * 0.8 / 2 + 0.1 * 0.2 / 2) / 0.9
    assert float(measure(bins, usual, shifted).wasserstein) == pytest.approx(expected, rel=0.05)
    assert float(measure(bins, usual, usual).wasserstein) == 0


def test_thresholds_grow_with_how_alike_neighbours_are() -> None:
    rate = Rate(window=120)
    independent = make_reference(
        brightness(correlated(1200, 3, memory=0.0)), source="noise", sample_s=0.5
    )
    alike = thresholds(reference(), rate)["brightness"]
    apart = thresholds(independent, rate)["brightness"]
    assert alike.psi > 1.5 * apart.psi
    assert alike.wasserstein > 1.5 * apart.wasserstein


def windows_over(
    usual: Reference, limits: dict[str, Thresholds], values: Values, step: int = 20
) -> list[float]:
    rows = 0.5 + 0.1 * values
    starts = range(0, len(rows) - 120, step)
    return [
        score_window(usual, limits, {"brightness": rows[i : i + 120]})["brightness"].score
        for i in starts
    ]


def test_an_unchanged_series_stays_below_and_a_changed_one_does_not() -> None:
    usual = reference()
    limits = thresholds(usual, Rate(window=120))
    scores = windows_over(usual, limits, correlated(40_000, 4))  # 5.5 hours
    assert np.mean(np.array(scores) >= 1) <= 0.002
    darker = windows_over(usual, limits, correlated(4000, 5) - 3)
    assert min(darker) > 1


def test_a_rarer_alarm_needs_more() -> None:
    often, rarely = (
        thresholds(reference(), Rate(per_day=per_day))["brightness"] for per_day in (50, 0.01)
    )
    assert rarely.psi > often.psi
    assert rarely.wasserstein > often.wasserstein


def test_what_does_not_matter_is_no_drift() -> None:
    still = [{"brightness": 0.5 + 1e-4 * (i % 3)} for i in range(200)]
    usual = make_reference(still, source="a wall", sample_s=0.5)
    limits = thresholds(usual, Rate())
    slightly = score_window(usual, limits, {"brightness": np.full(120, 0.515)})["brightness"]
    clearly = score_window(usual, limits, {"brightness": np.full(120, 0.6)})["brightness"]
    assert (slightly.score, clearly.score > 1) == (0, True)
    assert clearly.mean == pytest.approx(0.6)


def test_single_scenes_are_the_range_of_what_is_usual() -> None:
    random = np.random.default_rng(6)
    scenes = [{"brightness": float(b)} for b in random.uniform(0.3, 0.7, 80)]
    usual = make_reference(scenes, source="photographs")
    limits = thresholds(usual, Rate())

    def score(level: float) -> float:
        return score_window(usual, limits, {"brightness": np.full(120, level)})["brightness"].score

    assert max(score(level) for level in (0.31, 0.4, 0.5, 0.6, 0.69)) < 1
    assert score(0.02) >= 1


def test_a_feature_that_most_frames_lack_has_no_verdict() -> None:
    usual = reference(200)
    limits = thresholds(usual, Rate())
    values = np.full(120, np.nan)
    values[:10] = 0.9
    assert score_window(usual, limits, {"brightness": values}) == {}
    assert score_window(usual, limits, {}) == {}

"""Two graphs timed in turn: what is said of pairs of times that are made up."""

from __future__ import annotations

import numpy as np
import pytest

from depthrt_export.proof.evaluator import LatencyRatio, summarise, time_pairs


def test_ratio_is_of_pairs() -> None:
    # Load that comes and goes hits both of a pair: each is twice as fast.
    timed = summarise([(1.0, 2.0), (10.0, 20.0), (3.0, 6.0)])
    assert (timed.ratio, timed.low, timed.high) == (0.5, 0.5, 0.5)
    assert timed.faster


def test_noise_on_single_frames_hides_no_gain() -> None:
    # A third of the pairs is disturbed: quartiles reach beyond 1, the median's interval does not.
    random = np.random.default_rng(1)
    ratios = [0.76] * 42 + np.linspace(1.05, 1.6, 18).tolist()
    timed = summarise([(float(r), 1.0) for r in ratios])
    assert np.percentile(ratios, 75) > 1
    assert timed.faster
    assert (timed.ratio, timed.slower) == (0.76, False)
    level = summarise([(float(r), 1.0) for r in random.normal(1.0, 0.1, 60)])
    assert not level.faster
    assert not level.slower


def simulated(
    seed: int, ratio: float, noise: float, frame_ms: float, seconds: float = 3.0
) -> tuple[LatencyRatio, float]:
    """A comparison with noise (log-normal, of each run), and how long it would have taken."""
    random, now_s = np.random.default_rng(seed), 0.0

    def run_pair(number: int) -> tuple[float, float]:
        nonlocal now_s
        one, other = frame_ms / 1e3 * np.exp(random.normal(0, noise, 2))
        now_s += ratio * one + other
        return float(ratio * one), float(other)

    return time_pairs(run_pair, seconds, lambda: now_s), now_s


@pytest.mark.parametrize("frame_ms", [20, 100])
def test_equals_are_rarely_called_faster(frame_ms: float) -> None:
    """Looking after every pair called 8 to 13% of them faster."""
    found = [simulated(seed, 1, 0.1, frame_ms)[0] for seed in range(400)]
    assert sum(p.faster for p in found) <= 0.03 * len(found)
    assert sum(p.slower for p in found) <= 0.03 * len(found)


@pytest.mark.parametrize(("frame_ms", "longest_s"), [(5, 3.1), (20, 3.1), (100, 4.5)])
def test_a_tenth_is_found_in_the_time_given(frame_ms: float, longest_s: float) -> None:
    found = [simulated(seed, 0.9, 0.03, frame_ms) for seed in range(40)]
    assert all(timed.faster for timed, _ in found)
    assert all(timed.ratio == pytest.approx(0.9, abs=0.05) for timed, _ in found)
    assert np.mean([taken_s for _, taken_s in found]) < longest_s


def test_what_clearly_loses_is_over_soon() -> None:
    timed, taken_s = simulated(1, 1.6, 0.03, 20)
    assert timed.slower
    assert taken_s < 1.1


def test_the_interval_misses_as_rarely_as_said() -> None:
    random = np.random.default_rng(5)
    for count in (9, 10, 40):
        pairs = [[(float(r), 1.0) for r in random.normal(1, 0.1, count)] for _ in range(2000)]
        missed = sum(t.faster or t.slower for t in (summarise(p, 0.0125) for p in pairs))
        assert missed <= 0.018 * 2000, count  # the normal approximation missed 2.1% of 10


def test_load_that_lasts_for_a_block_is_no_certainty() -> None:
    """Nine blocks of ten pairs, of which four ran beside other work."""
    ratios = [2.0] * 40 + [0.9] * 60
    found = summarise([(ratio, 1.0) for ratio in ratios])
    assert found.ratio == 0.9
    assert (found.low, found.high) == (0.9, 2.0)
    assert found.text() == "0.90 [0.90, 2.00]: cannot tell which is faster"
    assert summarise([(0.9, 1.0)] * 100).text() == "0.90 [0.90, 0.90]"

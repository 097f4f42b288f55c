"""When a new model is worse than the old one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from depthrt.errors import UsageError
from depthrt_serving.cluster.judge import (
    Record,
    Seen,
    chance_of_late,
    depth_difference,
    has_seen_enough,
    reason_to_return,
)
from depthrt_serving.cluster.options import Gates, parse_range


def record(seconds: float, count: int = 100, difference: float = 0.01, failures: int = 0) -> Record:
    made = Record()
    for number in range(count):
        made.add(Seen("a", seconds + 1e-4 * (number % 10)))
    for _ in range(30):
        made.add(Seen("a", difference=difference))
    for _ in range(failures):
        made.add(Seen("a", failed=True))
    return made


def test_a_model_that_is_as_good_stays() -> None:
    assert reason_to_return(record(0.020), record(0.020), Gates()) == ""
    assert has_seen_enough(record(0.020), Gates())


def test_depth_that_is_far_away_goes_back() -> None:
    reason = reason_to_return(record(0.020, difference=0.2), record(0.020), Gates())
    assert reason == "its depth is 0.200 of the spread away from the old model's, allowed 0.1"
    swapped = record(0.020, difference=math.inf)
    assert "inf of the spread" in reason_to_return(swapped, record(0.020), Gates())


def test_one_odd_picture_is_no_reason() -> None:
    new = record(0.020)
    new.add(Seen("a", difference=5.0))
    assert reason_to_return(new, record(0.020), Gates()) == ""


def test_a_model_that_is_slower_goes_back() -> None:
    reason = reason_to_return(record(0.040), record(0.020), Gates())
    assert reason == ("its p99 of a batch is 41 ms, more than 1.5 times the old model's 21 ms")
    assert reason_to_return(record(0.028), record(0.020), Gates()) == ""
    few = record(0.200, count=19)
    assert reason_to_return(few, record(0.020), Gates()) == "", "too few to say"


def test_a_few_late_batches_are_chance() -> None:
    new = record(0.020)
    for _ in range(4):
        new.add(Seen("a", 0.5))
    assert reason_to_return(new, record(0.020), Gates()) == ""
    for _ in range(3):
        new.add(Seen("a", 0.5))
    assert "p99" in reason_to_return(new, record(0.020), Gates())


def test_the_chance_of_late_batches() -> None:
    assert chance_of_late(0, 100) == 1
    assert chance_of_late(1, 100) == pytest.approx(1 - 0.99**100)
    assert chance_of_late(3, 20) == pytest.approx(0.001, rel=0.05)
    assert chance_of_late(100, 100) == pytest.approx(0, abs=1e-12)


def test_a_few_milliseconds_are_noise() -> None:
    assert reason_to_return(record(0.004), record(0.001), Gates()) == ""


def test_failures_go_back_unless_the_old_model_fails_as_often() -> None:
    assert reason_to_return(record(0.02, failures=2), record(0.02), Gates()) == ""
    reason = reason_to_return(record(0.02, failures=5), record(0.02), Gates())
    assert reason == "5 of its 105 batches failed"
    assert reason_to_return(record(0.02, failures=5), record(0.02, failures=5), Gates()) == ""


@pytest.mark.parametrize("batches", [1, 99])
def test_a_step_ends_with_batches_and_comparisons(batches: int) -> None:
    new, gates = Record(), Gates(batches=100)
    for _ in range(batches):
        new.add(Seen("a", 0.01))
    for _ in range(30):
        new.add(Seen("a", difference=0.0))
    assert not has_seen_enough(new, gates)
    unseen = Record()
    for _ in range(100):
        unseen.add(Seen("a", 0.01))
    assert not has_seen_enough(unseen, gates), "nobody has looked at its depth"


def test_relative_depth_has_no_scale_of_its_own() -> None:
    old = np.random.default_rng(1).random((20, 30), np.float32)
    assert depth_difference(old, 3 * old + 7, metric=False) == pytest.approx(0, abs=1e-5)
    assert depth_difference(old, old + 0.5, metric=True) == pytest.approx(0.5 / 0.96, rel=0.05)
    assert depth_difference(old, 1 - old, metric=False) == math.inf, "near and far are swapped"
    assert depth_difference(old, old[:10], metric=False) == math.inf
    assert depth_difference(old, np.full_like(old, math.nan), metric=True) == math.inf


def test_a_new_network_that_sees_noise_is_far_away() -> None:
    random = np.random.default_rng(2)
    old, noise = random.random((40, 40), np.float32), random.random((40, 40), np.float32)
    noise += 0.05 * old
    assert depth_difference(old, noise, metric=False) > 0.2


def test_a_map_without_any_spread_is_compared() -> None:
    flat = np.full((4, 4), 2.0, np.float32)
    assert depth_difference(flat, flat, metric=False) == 0
    assert depth_difference(flat, flat + 0.002, metric=True) == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize(
    ("wrong", "option"),
    [({"batches": 0}, "batches"), ({"slower": 0.9}, "slower"), ({"difference": math.nan}, "diff")],
)
def test_gates_that_are_none(wrong: dict[str, float], option: str) -> None:
    with pytest.raises(UsageError, match=f"--roll-{option}"):
        Gates(**wrong)  # type: ignore[arg-type]


def test_ranges() -> None:
    assert parse_range("3", "--replicas") == (3, 3)
    assert parse_range("1-4", "--replicas") == (1, 4)
    for text in ("", "0", "4-1", "a", "1-2-3", "-1", "1.5"):
        with pytest.raises(UsageError, match="--replicas"):
            parse_range(text, "--replicas")

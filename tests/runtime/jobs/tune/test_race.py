"""Candidates measured in turn: what is taken, when it is over, and what is said of the others.

Time and measurements are made up, so that each candidate's true speed is known.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from depthrt.jobs.tune.block import Block
from depthrt.jobs.tune.race import LOOKS, Race, Trial
from depthrt.model.providers import SessionOptions
from depthrt.model.tuning_cache import OBJECTIVES, Objective


class Machine:
    """Gives each trial a block of its true time, with noise, while other load comes and goes."""

    def __init__(self, seed: int, noise: float, load: float = 0.0) -> None:
        self.random, self.noise, self.load = np.random.default_rng(seed), noise, load
        self.now_s = 0.0
        self.busy = 1.0

    def measure(self, trial: Trial) -> Block:
        self.now_s += 0.2
        if self.random.random() < 0.05:  # a change in every 20th block, so in every few rounds
            self.busy = float(np.exp(self.load * self.random.normal()))
        true_ms = trial.error  # the field that the race does not look at
        time_ms = true_ms * self.busy * float(np.exp(self.noise * self.random.normal()))
        return Block(time_ms, time_ms)


def no_larger(trial: Trial) -> Sequence[Trial]:
    return ()


def trials(*times_ms: float) -> list[Trial]:
    return [Trial(SessionOptions("cpu", n), error=ms) for n, ms in enumerate(times_ms, 1)]


def raced(
    machine: Machine,
    candidates: list[Trial],
    seconds: float,
    objectives: Sequence[Objective] = OBJECTIVES,
) -> Race:
    race = Race(candidates, objectives, machine.measure, lambda: machine.now_s)
    race.run(seconds, no_larger)
    return race


def test_the_fastest_is_found_beside_other_load() -> None:
    """Load moves all times by a factor of up to five, and noise by 10%."""
    for seed in range(20):
        given = trials(100, 128, 80, 101, 150)
        race = raced(Machine(seed, 0.1, load=0.8), given, 60)
        assert [race.best(each) for each in OBJECTIVES] == [given[2]] * 2, seed


def test_what_is_no_better_is_rarely_taken() -> None:
    taken = 0
    for seed in range(80):
        given = trials(100, 100, 100, 100)
        taken += raced(Machine(seed, 0.1, load=0.5), given, 40).best("latency") is not given[0]
    assert taken <= 0.05 * 80


def test_it_is_over_when_it_is_sure() -> None:
    machine, given = Machine(1, 0.01), trials(100, 50, 200, 150)
    race = raced(machine, given, 600)
    assert race.sure
    assert race.best("throughput") is given[1]
    assert machine.now_s < 5
    assert {len(trial.blocks) for trial in given} == {LOOKS[0]}
    assert [trial.finalist for trial in given] == [True, True, False, False]  # the untuned stays


def test_equals_are_measured_until_no_difference_can_count() -> None:
    machine, given = Machine(2, 0.02), trials(100, 100)
    race = raced(machine, given, 600)
    assert race.sure
    assert race.best("throughput") is given[0]
    found = given[1].beside(given[0], "throughput")
    assert found is not None
    assert found.low > 1 / 1.03


def test_where_time_is_up_at_once_each_has_one_block_and_nothing_is_changed() -> None:
    given = trials(100, 50)
    race = raced(Machine(3, 0.01), given, 0.01)
    assert [len(trial.blocks) for trial in given] == [1, 1]
    assert race.best("latency") is given[0]
    assert not race.sure
    verdict = race.verdict(given[1], given[0], "latency")
    assert verdict.beside is None
    assert verdict.reason == "faster, but in too few rounds to be sure"


def test_a_refused_candidate_is_not_measured() -> None:
    given = trials(100, 10)
    given[1].note = "depth differs"
    race = raced(Machine(4, 0.01), given, 10)
    assert given[1].blocks == {}
    assert race.best("latency") is given[0]
    assert race.verdict(given[1], given[0], "latency").reason == ""


def test_rounds_change_their_direction() -> None:
    order: list[int] = []
    machine, given = Machine(5, 0.3), trials(100, 101)

    def noting(trial: Trial) -> Block:
        order.append(given.index(trial))
        return machine.measure(trial)

    Race(given, OBJECTIVES, noting, lambda: machine.now_s).run(1.5, no_larger)
    assert order[:6] == [0, 1, 1, 0, 0, 1]


def test_one_frame_is_given_no_parallel_inference_and_no_batch() -> None:
    given = [
        Trial(SessionOptions("cpu", 1, parallel=2), error=50),
        Trial(SessionOptions("cpu", 2), error=100),
    ]
    machine = Machine(6, 0.01)
    larger = Trial(SessionOptions("cpu", 2), batch=4, error=40, larger_batch=True)
    race = Race(given, OBJECTIVES, machine.measure, lambda: machine.now_s)
    race.run(60, lambda trial: [larger] if trial is given[1] else ())
    assert race.untuned("throughput") is given[0]
    assert race.untuned("latency") is race.best("latency") is given[1]
    assert race.best("throughput") is larger
    reason = race.verdict(larger, given[1], "latency").reason
    assert reason == "several frames at a time, so not for one frame"


@pytest.mark.parametrize(
    ("ratios", "reason"),
    [
        ((0.9, 1.0, 0.95, 0.85, 1.1), "faster on average, 0.96 [0.7"),
        ((0.98, 0.98, 0.98, 0.98, 0.98), "faster, 0.98 [0.98, 0.98], but by less than 3%"),
        ((1.2, 1.2, 1.2, 1.2, 1.2), ""),
    ],
)
def test_why_a_row_that_looks_better_was_not_taken(ratios: tuple[float, ...], reason: str) -> None:
    given = trials(0, 0)
    for number, ratio in enumerate(ratios):
        given[0].blocks[number] = Block(10, 20)
        given[1].blocks[number] = Block(10 * ratio, 20 * ratio)
    race = Race(given, OBJECTIVES, Machine(0, 0).measure)
    assert race.best("throughput") is given[0]
    found = race.verdict(given[1], given[0], "throughput")
    assert found.reason.startswith(reason)
    assert bool(found.reason) == bool(reason)
    assert found.beside is not None


def test_one_that_was_only_measured_in_a_quiet_time_is_compared_in_the_same_rounds() -> None:
    given = trials(0, 0)
    given[0].blocks = {n: Block(10, 20 if n < 4 else 60) for n in range(12)}
    given[1].blocks = {n: Block(12, 24) for n in range(4)}
    race = Race(given, OBJECTIVES, Machine(0, 0).measure)
    found = race.verdict(given[1], given[0], "throughput")
    assert found.reason == "1.20 [1.20, 1.20] of the choice's time in the same rounds"


def test_ties_go_to_the_simpler_candidate() -> None:
    given = trials(0, 0, 0)
    for trial, time_ms in zip(given, (10.0, 8.1, 8.0), strict=True):
        trial.blocks = dict.fromkeys(range(5), Block(time_ms, time_ms))
    race = Race(given, OBJECTIVES, Machine(0, 0).measure)
    assert race.best("latency") is given[1]  # 1% slower than the fastest
    given[2].blocks = dict.fromkeys(range(5), Block(7.0, 7.0))
    assert race.best("latency") is given[2]


def test_medians_of_blocks_are_shown() -> None:
    times = zip((5.0, 50.0, 6.0), (7.0, 8.0, 90.0), strict=True)
    trial = Trial(SessionOptions("cpu"), blocks={n: Block(*each) for n, each in enumerate(times)})
    assert (trial.choice().infer_ms, trial.choice().frame_ms) == (6.0, 8.0)

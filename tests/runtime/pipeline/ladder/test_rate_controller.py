"""The controller of the ladder, in a world of sums: no clock, no threads, no noise but its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from depthrt.pipeline.ladder.rate_controller import RateController

COSTS_S = (0.050, 0.030, 0.018, 0.010)  # 20, 33, 56 and 100 frames a second


def world(
    load: Callable[[float], float],
    target_fps: float,
    *,
    seconds: float = 60.0,
    source_fps: float | None = None,
    other_s: float = 0.0,
    noise: float = 0.0,
) -> tuple[RateController, list[tuple[float, int]]]:
    """Run a pipeline in which a frame takes its rung's cost, times the load, plus ``other_s``.

    ``source_fps`` makes it live: frames come at that rate, and the newest is taken.
    """
    rng = np.random.default_rng(7)
    controller = RateController(COSTS_S)
    now_s, seen = 0.0, []
    while now_s < seconds:
        level = controller.level
        busy_s = COSTS_S[level] * load(now_s) * (1 + noise * rng.standard_normal())
        busy_s = max(busy_s, 1e-4)
        idle_s, starved = 0.0, False
        if source_fps is not None:
            step_s = 1 / source_fps
            starved = busy_s + other_s < step_s
            idle_s = max(0.0, step_s - busy_s - other_s)
        now_s += busy_s + other_s + idle_s
        seen.append((now_s, level))
        controller.observe(
            now_s, level=level, frames=1, busy_s=busy_s, idle_s=idle_s, starved=starved,
            wanted_fps=min(target_fps, source_fps or target_fps),
        )  # fmt: skip
    return controller, seen


def test_it_stays_on_the_heaviest_that_holds_the_rate() -> None:
    controller, _ = world(lambda _: 1.0, 15)
    assert (controller.level, controller.switches) == (0, [])


def test_it_steps_straight_down_to_the_first_that_fits() -> None:
    controller, seen = world(lambda _: 1.0, 50)
    (step,) = controller.switches
    assert (step.before, step.after) == (0, 2)
    assert step.rate_fps == pytest.approx(20, rel=0.1)
    assert step.time_s < 2
    late = [time_s for time_s, level in seen if level == 2]
    assert len(late) / (late[-1] - late[0]) > 50


def test_what_nothing_holds_runs_on_the_lightest() -> None:
    controller, _ = world(lambda _: 1.0, 500)
    assert controller.level == 3
    assert len(controller.switches) == 1


def test_it_goes_down_with_the_load_and_up_again_after_it() -> None:
    controller, seen = world(lambda t: 2.5 if 10 < t < 25 else 1.0, 19)
    levels = [level for _, level in seen]
    assert levels[0] == 0
    during = {level for time_s, level in seen if 14 < time_s < 25}
    assert during == {2}  # 45 ms there; the first rung that fits into 52 ms
    # Up again, one rung at a time; 50 ms leave no 15% to spare for the heaviest.
    assert controller.level == 1
    assert controller.switches[-1].before == 2
    assert 27 < controller.switches[-1].time_s < 35


def test_between_two_rungs_it_does_not_flap() -> None:
    # The rung above would fit on average, but noise takes the rate away again and again.
    controller, _ = world(lambda _: 1.0, 28, seconds=300, noise=0.4)
    assert len(controller.switches) <= 6
    calm, _ = world(lambda _: 1.0, 19.5, seconds=300)
    assert len(calm.switches) <= 1


def test_a_load_that_comes_and_goes_is_followed_ever_more_slowly() -> None:
    # Heavy for two of every eight seconds: each step up is punished.
    controller, _ = world(lambda t: 2.5 if t % 8 < 2 else 1.0, 25, seconds=240)
    times = [step.time_s for step in controller.switches]
    early = sum(t < 60 for t in times)
    late = sum(t > 180 for t in times)
    assert late < max(early, 4)
    assert len(times) <= 20


def test_a_source_that_gives_less_is_not_our_fault() -> None:
    controller, _ = world(lambda _: 1.0, 30, source_fps=15)
    assert (controller.level, controller.switches) == (0, [])


def test_live_overload_steps_down_and_idle_time_shows_the_way_up() -> None:
    controller, seen = world(lambda t: 1.0 if t < 20 else 0.3, 30, source_fps=30)
    assert {level for time_s, level in seen if 3 < time_s < 20} == {1}
    assert controller.level == 0
    assert [(s.before, s.after) for s in controller.switches] == [(0, 1), (1, 0)]
    assert 22 < controller.switches[-1].time_s < 26


def test_a_lighter_model_that_would_not_help_is_not_taken() -> None:
    # 100 ms go to decoding and writing: no model holds 30/s, and the lightest saves too little.
    controller = RateController((0.004, 0.003, 0.002))
    now_s = 0.0
    for _ in range(400):
        now_s += 0.104
        controller.observe(
            now_s, level=0, frames=1, busy_s=0.004, idle_s=0.0, starved=False, wanted_fps=30
        )
    assert controller.switches == []


def test_frames_that_were_on_their_way_at_a_switch_are_passed_over() -> None:
    controller = RateController((0.1, 0.01))
    now_s = 0.0
    while controller.level == 0:
        now_s += 0.1
        controller.observe(
            now_s, level=0, frames=1, busy_s=0.1, idle_s=0.0, starved=False, wanted_fps=50
        )
    for _ in range(50):  # as slow as before, but of the old model
        now_s += 0.1
        assert not controller.observe(
            now_s, level=0, frames=1, busy_s=0.1, idle_s=0.0, starved=False, wanted_fps=50
        )
    assert controller.level == 1


def test_groups_count_by_their_frames() -> None:
    controller = RateController((0.050, 0.010))
    now_s = 0.0
    for _ in range(40):  # eight frames in 0.2 s are 40/s
        now_s += 0.2
        controller.observe(
            now_s, level=0, frames=8, busy_s=0.2, idle_s=0.0, starved=False, wanted_fps=39
        )
    assert controller.switches == []

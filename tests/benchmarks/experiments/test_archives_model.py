"""The model of an archive on a cluster: cases that can be reckoned by hand, and its bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from experiments.archives.archive import bounds, skewed_lengths
from experiments.archives.cluster_model import Cluster, Costs, Outcome, Simulation

COSTS = Costs(
    decode_s=0.01, infer_s=0.02, finish_s=0.01, aside_s=0.0, task_s=0.0, plan_s=0.0, join_s=0.0,
    start_s=0.0, driver_s=0.0, fps=25.0, read_bytes=1e6, write_bytes=1e5,
)  # fmt: skip
SEGMENT_S = 60.0


def run(lengths_s: list[float], cluster: Cluster, costs: Costs = COSTS, seed: int = 0) -> Outcome:
    return Simulation(lengths_s, SEGMENT_S, costs, cluster, seed).run()


def test_one_worker_does_one_thing_after_the_other() -> None:
    out = run([30.0, 600.0, 90.0], Cluster(1))
    assert out.seconds == pytest.approx(720 * 25 * 0.04)
    assert (out.tasks, out.ahead, out.deaths) == (1 + (1 + 10) + 1, 0, 0)


def test_costs_of_tasks_and_starts_are_there() -> None:
    costs = replace(COSTS, task_s=0.5, start_s=2.0, driver_s=0.1, plan_s=0.01, join_s=0.02)
    out = run([600.0], Cluster(1), costs)
    plan, segments, join = 0.5 + 600 * 0.01, 10 * (0.5 + 60 * 25 * 0.04), 600 * 0.02
    assert out.seconds == pytest.approx(2.0 + plan + segments + join + 11 * 0.1)
    assert out.driver_s == pytest.approx(1.1)


def test_equal_videos_are_shared_out() -> None:
    assert run([60.0] * 8, Cluster(4)).seconds == pytest.approx(2 * 60 * 25 * 0.04)
    assert run([60.0] * 9, Cluster(4)).seconds == pytest.approx(3 * 60 * 25 * 0.04)


def test_segments_of_one_video_follow_one_another() -> None:
    cluster = Cluster(8, runs_ahead=False)
    assert run([600.0], cluster).seconds == pytest.approx(600 * 25 * 0.04)


def test_network_ahead_leaves_what_follows_as_the_chain() -> None:
    """The first segment as a whole; meanwhile others run the network; then what follows alone."""
    out = run([600.0], Cluster(10))
    first, rest = 60 * 25 * 0.04, 9 * 60 * 25 * 0.01
    assert out.seconds == pytest.approx(first + rest)
    assert out.ahead == 9


def test_a_death_costs_a_segment_at_most() -> None:
    cluster = Cluster(4, died_every_s=400.0, runs_ahead=False)
    out = run([3600.0] * 8, cluster, seed=3)
    assert out.deaths > 10
    assert out.lost_s <= out.deaths * SEGMENT_S * 25 * 0.04
    calm = run([3600.0] * 8, replace(cluster, died_every_s=1e12))
    assert out.seconds == pytest.approx(calm.seconds + out.lost_s / 4, rel=0.05)


def test_slow_workers_hold_up_no_more_than_their_share() -> None:
    out = run([60.0] * 1000, Cluster(10, slow_share=0.1, slow_factor=4.0))
    calm = run([60.0] * 1000, Cluster(10))
    assert calm.seconds / out.seconds == pytest.approx(9.25 / 10, rel=0.05)


def test_the_driver_is_a_bound() -> None:
    costs = replace(COSTS, driver_s=1.0)
    out = run([60.0] * 1000, Cluster(500), costs)
    assert out.seconds >= 1000
    assert out.seconds == pytest.approx(1000 + 60, rel=0.01)


def test_the_store_is_a_bound() -> None:
    cluster = Cluster(100, store_bytes_per_s=1e7, link_bytes_per_s=1e6)
    lengths_s = [60.0] * 2000
    least = bounds(lengths_s, SEGMENT_S, COSTS, cluster)
    assert least["store"] == pytest.approx(2000 * 60 * 1.1e6 / 1e7)
    assert run(lengths_s, cluster).seconds >= least["store"]


@pytest.mark.parametrize("workers", [1, 7, 64])
@pytest.mark.parametrize("seed", [0, 1])
def test_nothing_is_faster_than_its_bounds(workers: int, seed: int) -> None:
    lengths_s = skewed_lengths(60, 900, 1.3, seed)
    costs = replace(COSTS, task_s=0.2, plan_s=0.001, driver_s=0.001, aside_s=0.001)
    cluster = Cluster(workers, died_every_s=20_000.0, slow_share=0.1, slow_factor=2.0)
    out = run(lengths_s, cluster, costs, seed)
    assert out.seconds >= max(bounds(lengths_s, SEGMENT_S, costs, cluster).values()) * 0.999
    assert out == run(lengths_s, cluster, costs, seed), "the same seed, the same outcome"


def test_lengths_are_skewed_and_add_up() -> None:
    lengths_s = skewed_lengths(500, 1200, 1.3, 5)
    assert sum(lengths_s) == pytest.approx(500 * 3600)
    assert max(lengths_s) <= 24 * 3600
    assert len(lengths_s) == pytest.approx(1500, rel=0.15)
    ordered = sorted(lengths_s, reverse=True)
    assert sum(ordered[: len(ordered) // 10]) > 0.4 * 500 * 3600
    assert skewed_lengths(500, 1200, 1.3, 5) == lengths_s

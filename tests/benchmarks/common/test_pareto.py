"""The Pareto front, as plots of bench and searches of export use it."""

from __future__ import annotations

from depthrt_benchmarks.common.pareto import pareto_front


def test_the_front_holds_what_no_other_beats() -> None:
    points = [("b", 2.0, 0.4), ("d", 1.0, 0.35), ("a", 1.0, 0.3), ("c", 3.0, 0.1), ("e", 3.0, 0.1)]
    assert [name for name, _, _ in pareto_front(points, lambda p: p[1:])] == ["a", "c"]
    assert pareto_front([], lambda p: p) == []

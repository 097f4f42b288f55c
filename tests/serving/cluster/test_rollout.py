"""How a new model takes over, and how it is taken back."""

from __future__ import annotations

from depthrt_serving.cluster.judge import Seen
from depthrt_serving.cluster.options import Gates
from depthrt_serving.cluster.rollout import Rollout, Routing

GATES = Gates(batches=50)


def good(sha256: str, batches: int = 50, seconds: float = 0.02) -> list[Seen]:
    """Batches of a model, and comparisons of its depth."""
    return [Seen(sha256, seconds)] * batches + [Seen(sha256, difference=0.01)] * 25


def test_step_by_step_to_all() -> None:
    rollout = Rollout("old")
    assert rollout.exchange("f", good("old")) == Routing("old")
    assert rollout.begin("new", 0.1, GATES) == ""
    assert rollout.exchange("f", good("old")) == Routing("old", "new", 0.1)
    assert rollout.exchange("f", good("new", 49)) == Routing("old", "new", 0.1)
    assert rollout.progress().batches == 49
    assert rollout.exchange("f", good("new", 1)) == Routing("old", "new", 0.5)
    assert rollout.progress().batches == 0, "each step is judged by itself"
    assert rollout.exchange("f", good("new")) == Routing("new")
    assert rollout.progress().state == "promoted"
    assert rollout.exchange("f", good("new")) == Routing("new")


def test_all_fronts_are_heard() -> None:
    rollout = Rollout("old")
    rollout.begin("new", 0.5, GATES)
    rollout.exchange("a", good("new", 25))
    assert rollout.exchange("b", good("new", 25)) == Routing("new")


def test_worse_depth_goes_back_and_says_why() -> None:
    rollout = Rollout("old")
    rollout.begin("new", 0.1, GATES)
    worse = [Seen("new", 0.02)] * 5 + [Seen("new", difference=0.4)] * 20
    assert rollout.exchange("f", worse) == Routing("old")
    progress = rollout.progress()
    assert progress.state == "returned"
    assert "0.400 of the spread" in progress.reason


def test_a_slower_model_goes_back_at_half_of_the_requests() -> None:
    rollout = Rollout("old")
    rollout.begin("new", 0.1, GATES)
    rollout.exchange("f", [*good("old"), *good("new")])
    assert rollout.exchange("f", [*good("old"), *good("new", seconds=0.2)]) == Routing("old")
    assert "p99" in rollout.progress().reason


def test_failures_go_back() -> None:
    rollout = Rollout("old")
    rollout.begin("new", 0.1, GATES)
    assert rollout.exchange("f", [Seen("new", failed=True)] * 3) == Routing("old")
    assert rollout.progress().reason == "3 of its 3 batches failed"


def test_one_at_a_time() -> None:
    rollout = Rollout("old")
    assert rollout.begin("old", 0.1, GATES) == "it is the model that serves already"
    assert rollout.begin("new", 0.1, GATES) == ""
    assert "new" in rollout.begin("other", 0.1, GATES)
    rollout.give_back("interrupted")
    assert rollout.progress().state == "returned"
    assert rollout.progress().reason == "interrupted"
    assert rollout.begin("other", 0.1, GATES) == ""


def test_giving_back_after_the_end_changes_nothing() -> None:
    rollout = Rollout("old")
    rollout.begin("new", 0.5, GATES)
    rollout.exchange("f", good("new"))
    rollout.give_back("too late")
    assert rollout.progress().state == "promoted"
    assert rollout.routing() == Routing("new")


def test_what_was_seen_of_models_of_before_counts_no_more() -> None:
    rollout = Rollout("old")
    rollout.begin("new", 0.5, GATES)
    rollout.exchange("f", good("other", 500))
    assert rollout.progress().batches == 0


def test_fronts_that_fell_silent_are_gone() -> None:
    now_s = [0.0]
    rollout = Rollout("old", clock=lambda: now_s[0])
    for front in ("a", "b", "c"):
        rollout.exchange(front, [])
    assert rollout.leave("a") == 2
    now_s[0] = 10.0
    rollout.exchange("c", [])
    now_s[0] = 20.0
    assert rollout.leave("c") == 0


def test_files_are_kept_for_replicas() -> None:
    rollout = Rollout("old")
    rollout.put_file("old", b"bytes")
    assert rollout.file("old") == b"bytes"
    assert rollout.file("new") is None

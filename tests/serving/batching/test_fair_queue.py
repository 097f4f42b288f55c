"""The queue in which clients take turns, and the measured rate."""

from __future__ import annotations

import pytest

from depthrt_serving.batching.estimate import Estimate
from depthrt_serving.batching.fair_queue import FairQueue


def filled(**clients: str) -> FairQueue[str]:
    queue: FairQueue[str] = FairQueue()
    for client, entries in clients.items():
        for entry in entries:
            queue.push(client, entry)
    return queue


def emptied(queue: FairQueue[str]) -> str:
    return "".join(queue.pop() for _ in range(len(queue)))


def test_clients_take_turns() -> None:
    assert emptied(filled(a="12345", b="xy", c="z")) == "1xz2y345"


def test_a_new_client_comes_after_those_who_wait() -> None:
    queue = filled(a="123", b="xy")
    assert queue.pop() == "1"
    queue.push("c", "z")
    assert emptied(queue) == "x2zy3"


def test_what_is_ahead_is_what_leaves_before() -> None:
    queue = filled(a="12345", b="xy")
    assert queue.ahead("c", 1) == 2
    assert queue.ahead("b", 1) == 2 + 3
    assert queue.ahead("a", 1) == 5 + 2


def test_entries_leave_from_anywhere() -> None:
    queue = filled(a="123", b="x")
    assert queue.discard("a", "2")
    assert not queue.discard("a", "2")
    assert queue.discard("b", "x")
    assert (emptied(queue), len(queue)) == ("13", 0)
    with pytest.raises(IndexError, match="nothing waits"):
        queue.pop()


def test_the_newest_of_who_has_most() -> None:
    queue = filled(a="12", b="xyz")
    assert queue.newest_of_longest() == ("b", "z")
    assert filled().newest_of_longest() is None


def test_the_rate_is_that_of_busy_time() -> None:
    estimate = Estimate(batch_s=0.1, images=4, parallel=2)
    assert estimate.rate == pytest.approx(80)  # as when it was loaded
    for number in range(100):
        estimate.add(4, 0.1, 10 + 0.08 * number, backlog=True)
    assert estimate.rate == pytest.approx(50, rel=0.01)
    estimate.add(1, 0.1, 18.0, backlog=False)
    estimate.add(1, 0.1, 100.0, backlog=False)  # idle time says nothing
    assert estimate.rate == pytest.approx(50, rel=0.05)


def test_a_batch_takes_what_it_took_and_a_margin() -> None:
    estimate = Estimate(batch_s=0.1, images=1, parallel=1)
    for number in range(100):
        estimate.add(1, 0.2 + 0.05 * (number % 2), float(number), backlog=False)
    assert 0.25 < estimate.batch_s < 0.35

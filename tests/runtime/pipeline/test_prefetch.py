"""Stages in threads: order, errors, early ends. None may hang."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from depthrt.pipeline.prefetch import Prefetch

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def stage_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("depthrt-")]


def test_order_is_kept_and_the_queue_is_bounded() -> None:
    made = []

    def numbers() -> Iterator[int]:
        for i in range(50):
            made.append(i)
            yield i

    seen = []
    for item in Prefetch(numbers(), 3):
        seen.append(item)
        time.sleep(0.0005)
        # What was taken together, the queue behind it, and one in the producer's hand.
        assert len(made) <= len(seen) + 3 + 3 + 1
    assert seen == list(range(50))


def test_an_error_arrives_as_itself_with_its_cause_after_what_came_before() -> None:
    def fails() -> Iterator[int]:
        yield 1
        try:
            raise KeyError("cause")
        except KeyError as cause:
            raise RuntimeError("reader") from cause

    items = Prefetch(fails(), 2)
    assert next(items) == 1
    with pytest.raises(RuntimeError, match="reader") as caught:
        next(items)
    assert isinstance(caught.value.__cause__, KeyError)
    assert any("fails" in str(entry) for entry in caught.traceback)


def test_a_consumer_that_stops_early_closes_the_producer() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    items = Prefetch(endless(), 2)
    next(items)
    items.close()
    assert closed.is_set()


def test_nested_stages_end_together() -> None:
    closed = []

    def endless(name: str, items: Iterator[int]) -> Iterator[int]:
        try:
            yield from items
        finally:
            closed.append(name)

    source = endless("source", iter(lambda: 0, 1))
    inner = Prefetch(source, 1, name="inner")
    outer = Prefetch(endless("outer", inner), 1, name="outer")
    next(outer)
    outer.close()
    assert sorted(closed) == ["outer", "source"]


def test_an_error_on_closing_does_not_hide() -> None:
    def bad_end() -> Iterator[int]:
        yield 1
        raise ValueError("at the end")

    with pytest.raises(ValueError, match="at the end"):
        list(Prefetch(bad_end(), 5))


def test_an_item_is_made_only_when_there_is_room() -> None:
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for i in range(10):
            made.append(i)
            yield i

    items = Prefetch(numbers(), 1)
    assert next(items) == 0
    time.sleep(0.05)
    assert made in ([0], [0, 1])
    assert list(items) == list(range(1, 10))

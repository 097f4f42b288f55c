"""Pairs of a dataset, decoded ahead of their use."""

from __future__ import annotations

from collections.abc import Generator, Iterable

from depthrt.errors import SourceError
from depthrt.pipeline.prefetch import Prefetch
from depthrt_benchmarks.evaluation.datasets.base import Item, Pair

_AHEAD = 4  # pairs that are decoded while the network works


def read_ahead(items: Iterable[Item]) -> Prefetch[tuple[Item, Pair | SourceError]]:
    """Items with their pairs, in order, read in a thread; an unreadable one with its error."""

    def read() -> Generator[tuple[Item, Pair | SourceError], None, None]:
        for item in items:
            try:
                yield item, item.read()
            except SourceError as error:
                yield item, error

    return Prefetch(read(), _AHEAD, name="read")


def with_neighbours(items: list[Item], done: list[bool]) -> list[Item]:
    """The items that are not done, and the frame before each in its sequence."""
    needed = []
    for i, item in enumerate(items):
        follows = i + 1 < len(items) and items[i + 1].sequence == item.sequence != ""
        if not done[i] or (follows and not done[i + 1]):
            needed.append(item)
    return needed

"""The Pareto front: what no other beats in both of two figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def pareto_front(items: Iterable[T], figures: Callable[[T], tuple[float, float]]) -> list[T]:
    """The items than which no other is better in both figures, by the first figure.

    Args:
        items: what is compared; of items with equal figures, the first is kept.
        figures: two figures of an item, such as latency and error; smaller is better.
    """
    best: list[T] = []
    for item in sorted(items, key=figures):
        if not best or figures(item)[1] < figures(best[-1])[1]:
            best.append(item)
    return best

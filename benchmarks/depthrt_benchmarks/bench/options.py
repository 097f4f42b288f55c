"""Options that are lists, and progress on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from depthrt.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from depthrt_benchmarks.bench.bench import Listener
    from depthrt_benchmarks.bench.compare.pairs import Pairs
    from depthrt_benchmarks.bench.measure.settings_in_turn import Cell


def comma_words(text: str, option: str) -> tuple[str, ...]:
    """Words between commas, without repetitions.

    Raises:
        UsageError: none at all.
    """
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not words:
        raise UsageError(f"{option} {text!r} names nothing")
    return words


def comma_numbers(text: str | None, option: str) -> tuple[int, ...] | None:
    """Whole numbers between commas; None stays None.

    Raises:
        UsageError: no whole numbers of at least 1.
    """
    if text is None:
        return None
    words = comma_words(text, option)
    if not all(word.isdecimal() and int(word) >= 1 for word in words):
        raise UsageError(f"{option} {text!r}: give whole numbers with commas between, as in 1,4")
    return tuple(int(word) for word in words)


def comma_sizes(text: str | None) -> tuple[tuple[int, int], ...] | None:
    """Sizes between commas, height first."""
    if text is None:
        return None
    from depthrt_benchmarks.bench.measure.frames import parse_size

    return tuple(parse_size(word) for word in comma_words(text, "--sizes"))


@contextmanager
def live_cells() -> Iterator[Listener]:
    """A table that fills on standard error, where that is a terminal."""
    from depthrt_benchmarks.bench.bench import Listener

    if not sys.stderr.isatty():
        yield Listener()
        return
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    from depthrt_benchmarks.bench.report.report import live_table

    shown: list[Sequence[Cell]] = [()]
    with Live(console=Console(stderr=True), transient=True, refresh_per_second=4) as live:

        def show(text: str) -> None:
            live.update(Group(live_table(shown[0]), Text(text)))

        def fill(cells: Sequence[Cell]) -> None:
            shown[0] = cells
            show("measuring")

        yield Listener(show, fill)


@contextmanager
def live_pairs() -> Iterator[Callable[[Pairs], None]]:
    """The current interval on standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda pairs: None
        return
    from rich.console import Console

    with Console(stderr=True).status("first pairs") as status:

        def show(pairs: Pairs) -> None:
            found = pairs.interval
            span = f"{found.low:.3f} to {found.high:.3f}" if pairs.looks else "not looked yet"
            status.update(f"{pairs.count} pairs, {pairs.seconds:.0f} s: {span}")

        yield show

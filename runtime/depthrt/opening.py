"""What `stream` and `stream_many` take as sources, opened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

from depthrt.errors import DepthrtError, UsageError
from depthrt.frame import RgbImage
from depthrt.limits import LiveLimits
from depthrt.sources import Selection, Source, open_source
from depthrt.sources.arrays import ArraysSource
from depthrt.sources.base import without_password

_OPENED_AT_ONCE = 8

SourceLike: TypeAlias = "str | Path | int | Source | Iterable[RgbImage]"


def open_many(
    sources: Sequence[SourceLike] | Mapping[str, SourceLike],
    selection: Selection | None,
    limits: LiveLimits,
) -> list[tuple[str, Source | DepthrtError]]:
    """Open several sources side by side: each, or the error it gave, under a name of its own.

    Sources without a name take their own; names that agree are numbered in the order given.
    """
    given = list(sources.items()) if isinstance(sources, Mapping) else [("", s) for s in sources]

    def attempt(source: SourceLike) -> Source | DepthrtError:
        try:
            return open_one(source, selection, limits)
        except DepthrtError as error:
            return error

    with ThreadPoolExecutor(min(_OPENED_AT_ONCE, len(given)), "depthrt-open") as pool:
        outcomes = list(pool.map(attempt, (source for _, source in given)))
    named: dict[str, Source | DepthrtError] = {}
    for (name, source), outcome in zip(given, outcomes, strict=True):
        given_text = isinstance(source, (str, Path, int))
        own = without_password(str(source)) if given_text else "images"
        own = own if isinstance(outcome, DepthrtError) else outcome.info.name
        named[_unused(name or own, named)] = outcome
    return list(named.items())


def _unused(name: str, taken: Mapping[str, object]) -> str:
    number, free = 2, name
    while free in taken:
        free, number = f"{name} ({number})", number + 1
    return free


def open_one(source: SourceLike, selection: Selection | None, limits: LiveLimits) -> Source:
    """Open one source; one that is open already goes as it is.

    Raises:
        DepthrtError: it cannot be opened.
        UsageError: it is open, and a selection is given.
    """
    if isinstance(source, (str, Path, int)):
        return open_source(source, selection, reconnect_s=limits.reconnect_s)
    if isinstance(source, Source):
        if selection is not None:
            raise UsageError("a source that is open already has its selection")
        return source
    return ArraysSource(source, selection or Selection())

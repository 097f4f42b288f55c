"""What `stream` and `stream_many` take as sources, opened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

from depthrt.errors import UsageError
from depthrt.frame import RgbImage
from depthrt.sources.base import FrameSource, OwnSource, Selection, Source
from depthrt.sources.blocking_calls import call_all
from depthrt.sources.display_name import shown_source, unused
from depthrt.sources.images import ArraysSource
from depthrt.sources.live.live_limits import LiveLimits
from depthrt.sources.open import close_source, open_source

SourceLike: TypeAlias = "str | Path | int | FrameSource | Iterable[RgbImage]"


def open_many(
    sources: Sequence[SourceLike] | Mapping[str, SourceLike],
    selection: Selection | None,
    limits: LiveLimits,
) -> list[tuple[str, Source | BaseException]]:
    """Open several sources side by side: each, or the error it gave, under a name of its own.

    Sources without a name take their own; names that agree are numbered in the order given.
    """
    given = list(sources.items()) if isinstance(sources, Mapping) else [("", s) for s in sources]
    outcomes = call_all(
        [partial(open_one, source, selection, limits) for _, source in given], close_source
    )
    named: dict[str, Source | BaseException] = {}
    for (name, source), outcome in zip(given, outcomes, strict=True):
        given_text = isinstance(source, (str, Path, int))
        own = shown_source(str(source)) if given_text else "images"
        own = own if isinstance(outcome, BaseException) else outcome.info.name
        named[unused(name or own, named)] = outcome
    return list(named.items())


def open_one(source: SourceLike, selection: Selection | None, limits: LiveLimits) -> Source:
    """Open one source; one that is open already goes as it is.

    Raises:
        DepthrtError: it cannot be opened.
        UsageError: it is open, and a selection is given.
    """
    if isinstance(source, (str, Path, int)):
        return open_source(source, selection, reconnect_s=limits.reconnect_s)
    if isinstance(source, FrameSource):
        if selection is not None:
            raise UsageError("a source that is open already has its selection")
        return source if isinstance(source, Source) else OwnSource(source)
    return ArraysSource(source, selection or Selection())

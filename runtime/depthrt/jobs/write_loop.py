"""Results into sinks, so that nothing done is lost whatever happens."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from depthrt.errors import DepthrtError
from depthrt.interrupts import hold, is_noted, raise_noted, terminable
from depthrt.result import Result, Stats
from depthrt.sinks.base import Sink


def drive(
    results: Generator[Result, None, None],
    sinks: list[Sink],
    stats: Stats,
    progress: Callable[[], None],
) -> bool:
    """Write every result to every sink; whether Ctrl-C or a closed window ended it early.

    An interrupted output is finished and put in place. After an error the outputs are finished
    beside their place, so that nothing done is lost, and the error goes on.
    """
    with terminable():
        interrupted = cut_short = False
        try:
            for result in results:
                wanted = write(result, sinks, stats)
                progress()
                raise_noted()
                if not wanted:
                    cut_short = True
                    break
            hold()
        except KeyboardInterrupt:
            hold()
            interrupted = cut_short = True
        except BaseException as error:
            hold()
            results.close()
            _give_up(error, sinks)
        try:
            results.close()
            finish(sinks, stats, cut_short=cut_short)
        except (Exception, KeyboardInterrupt) as error:
            _give_up(error, sinks)
        return interrupted or is_noted()


def write(result: Result, sinks: Iterable[Sink], stats: Stats) -> bool:
    """Write a result to every sink; whether all of them want more."""
    start = time.perf_counter()
    wanted = [sink.write(result) for sink in sinks]
    stats.written += 1
    stats.add("write", time.perf_counter() - start)
    return all(wanted)


def finish(sinks: Iterable[Sink], stats: Stats, *, cut_short: bool) -> None:
    """Finish every output and put it in its place; one that fails keeps no other from its own.

    Raises:
        DepthrtError: the first that went wrong, after all others are finished.
    """
    start = time.perf_counter()
    errors: list[Exception] = []
    for sink in sinks:
        try:
            sink.close(complete=True, cut_short=cut_short)
        except Exception as error:
            errors.append(error)
    stats.add("write", time.perf_counter() - start)
    if errors:
        raise errors[0]


def _give_up(error: BaseException, sinks: Iterable[Sink]) -> NoReturn:
    """Salvage the outputs; the error goes on, and names where they are."""
    kept = salvage(sinks)
    said = with_word(str(error) or "interrupted", kept)
    if kept and isinstance(error, (DepthrtError, KeyboardInterrupt)) and said != str(error):
        raise type(error)(said) from error
    if kept and hasattr(error, "add_note"):  # Python 3.11
        error.add_note(said)
    raise error


def with_word(sentence: str, kept: list[str]) -> str:
    """The sentence of an error, and where that is which was done before, unless it says so."""
    unsaid = [place for place in kept if place not in sentence]
    return f"{sentence}; what was done before is in {', '.join(unsaid)}" if unsaid else sentence


def salvage(sinks: Iterable[Sink]) -> list[str]:
    """Finish outputs beside their places; where they are."""
    kept = []
    for sink in sinks:
        try:
            place = sink.close(complete=False)
        except Exception:
            continue  # the first error says why; the file holds what reached the disk
        if place is not None:
            kept.append(str(place))
    return kept


@contextmanager
def show_progress(total: int | None) -> Iterator[Callable[[], None]]:
    """A progress bar on standard error, on a terminal only; yields what to call per frame."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = [
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.1f} frames/s"),
        TextColumn("left"),
        TimeLeft(),
    ]
    start, done = time.perf_counter(), 0
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("depth", total=total, rate=0.0)

        def advance() -> None:
            nonlocal done
            done += 1
            bar.update(task, advance=1, rate=done / (time.perf_counter() - start))

        yield advance

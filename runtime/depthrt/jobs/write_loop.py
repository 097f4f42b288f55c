"""The loop that writes results to their sinks, and loses nothing that was done, whatever happens.

An output is closed when its stream ends, and gets its name then. If its stream or one of its sinks
fails, it stays beside its target, as usable as can be, and the error says where.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import NoReturn, Protocol

from depthrt.errors import DepthrtError, SourceError
from depthrt.pipeline.stream_state import End
from depthrt.result import Result, Stats
from depthrt.sinks.base import Sink
from depthrt.sources.live.live_limits import LiveLimits
from depthrt.system.interrupts import (
    Interrupts,
    held,
    hold,
    is_noted,
    is_raised,
    raise_noted,
    terminable,
)


class Events(Protocol):
    """Results of streams, and their ends, as they come: a scheduler, or results alone."""

    def __iter__(self) -> Iterator[Result | End]:
        """The events."""

    def close(self) -> object:
        """End all streams."""


class SinkState(Enum):
    """Where the sinks of a stream are: they take results, are being closed, or are closed."""

    OPEN, CLOSING, CLOSED = range(3)


@dataclass(eq=False)
class StreamSinks:
    """One stream and the sinks that its results are written to.

    - ``ended_s``: when its sinks were closed, by ``time.perf_counter``;
    - ``error``: why the stream or one of its sinks failed; empty if none did.
    """

    name: str
    sinks: list[Sink]
    stats: Stats = field(default_factory=Stats)
    state: SinkState = SinkState.OPEN
    ended_s: float = 0.0
    error: str = ""

    def write(self, result: Result) -> bool:
        """Write a result to every sink.

        Returns:
            Whether all of them take more.
        """
        start_s, paused_s = time.perf_counter(), self._paused_s()
        wanted = [sink.write(result) for sink in self.sinks]
        waited_s = self._paused_s() - paused_s  # to keep the pace of a recording
        self.stats.written += 1
        self.stats.spend("write", time.perf_counter() - start_s - waited_s)
        return all(wanted)

    def _paused_s(self) -> float:
        return sum(sink.paused_s for sink in self.sinks)

    def close(self, *, cut_short: bool) -> None:
        """Close every sink, complete; one that fails keeps no other from being closed.

        Raises:
            DepthrtError: the first failure, after all are closed.
        """
        start_s = time.perf_counter()
        failures: list[Exception] = []
        for sink in self.sinks:
            try:
                sink.close(complete=True, cut_short=cut_short)
            except Exception as error:
                failures.append(error)
        self.stats.spend("write", time.perf_counter() - start_s)
        if failures:
            raise failures[0]

    def close_incomplete(self) -> list[str]:
        """Close every sink after a failure; gives the paths of what was done."""
        kept = []
        for sink in self.sinks:
            try:
                path = sink.close(complete=False)
            except Exception:
                continue  # the first failure is the one to report; what is on the disk stays
            if path is not None:
                kept.append(str(path))
        return kept


OnFailure = Callable[[str, str], None]
"""Called with the name of a stream that failed, and a sentence."""


def write_results(
    events: Events,
    streams: Sequence[StreamSinks],
    limits: LiveLimits,
    progress: Callable[[], None],
    on_failure: OnFailure | None = None,
) -> bool:
    """Write every result to the sinks of its stream, until all streams end.

    Ctrl-C, or a sink that takes no more, ends all streams early; what was written is complete.

    Args:
        events: results and ends of the streams.
        streams: in ``events`` they go by their names.
        limits: what is taken of live sources.
        progress: called after every frame.
        on_failure: told of each stream that fails, while the others go on; None: the first failure
            ends all streams and is raised.

    Returns:
        Whether Ctrl-C ended it early.

    Raises:
        DepthrtError: a stream failed, and there is no ``on_failure``. The message says where that
            is which was done before.
        KeyboardInterrupt: Ctrl-C came again, while outputs were being closed.
    """
    loop = _WriteLoop(streams, limits, on_failure)
    with terminable() as interrupts:
        interrupted = cut_short = False
        try:
            cut_short = not loop.write_all(events, progress, interrupts)
            hold()
        except BaseException as error:
            came_of_it = isinstance(error, KeyboardInterrupt) or is_raised()
            hold()
            if loop.is_closing or not came_of_it:
                events.close()
                loop.raise_with_paths(error)
            interrupted = cut_short = True
        try:
            events.close()
            loop.end_all(cut_short=cut_short)
        except (Exception, KeyboardInterrupt) as error:
            loop.raise_with_paths(error)
        return interrupted or is_noted()


class _WriteLoop:
    def __init__(
        self, streams: Sequence[StreamSinks], limits: LiveLimits, on_failure: OnFailure | None
    ) -> None:
        self._streams = {stream.name: stream for stream in streams}
        self._limits, self._on_failure = limits, on_failure

    def write_all(
        self, events: Events, progress: Callable[[], None], interrupts: Interrupts
    ) -> bool:
        """Handle every event; whether more results were wanted to the end."""
        for event in events:
            if isinstance(event, End):
                with held():
                    self._handle_end(self._streams[event.stream], event.error)
                raise_noted()
                continue
            stream = self._streams[event.frame.stream]
            if stream.state is not SinkState.OPEN:
                continue
            wanted = True
            try:
                wanted = stream.write(event)
            except Exception as error:
                with held():
                    self._fail(stream, error)
            else:
                progress()
            if interrupts.is_due:
                raise_noted()
            if not wanted:
                return False
        return True

    def end_all(self, *, cut_short: bool) -> None:
        """End the streams that have not ended; ``cut_short``: before their sources did."""
        for stream in self._streams.values():
            if stream.state is SinkState.OPEN:
                self._end(stream, cut_short=cut_short)

    @property
    def is_closing(self) -> bool:
        """Whether the sinks of a stream are being closed."""
        return any(stream.state is SinkState.CLOSING for stream in self._streams.values())

    def raise_with_paths(self, error: BaseException) -> NoReturn:
        """Raise an error again, after closing all sinks, with the paths of what was done."""
        kept = [path for stream in self._streams.values() for path in stream.close_incomplete()]
        said = _with_paths(str(error) or "interrupted", kept)
        if kept and isinstance(error, (DepthrtError, KeyboardInterrupt)) and said != str(error):
            raise type(error)(said) from error
        if kept and hasattr(error, "add_note"):  # Python 3.11
            error.add_note(said)
        raise error

    def _handle_end(self, stream: StreamSinks, error: BaseException | None) -> None:
        if stream.state is SinkState.OPEN:
            if error is not None:
                self._fail(stream, error)
            else:
                self._end(stream, cut_short=False)

    def _end(self, stream: StreamSinks, *, cut_short: bool) -> None:
        stream.state = SinkState.CLOSING
        try:
            if not cut_short:
                _check_frames(stream, self._limits)
            stream.close(cut_short=cut_short)
        except Exception as error:
            self._fail(stream, error)
        stream.state, stream.ended_s = SinkState.CLOSED, time.perf_counter()

    def _fail(self, stream: StreamSinks, error: BaseException) -> None:
        """Report the failure of a stream; if nobody wants a report, raise it."""
        if self._on_failure is None:
            raise error
        stream.state = SinkState.CLOSING
        stream.error = _with_paths(sentence_of(stream.name, error), stream.close_incomplete())
        stream.state, stream.ended_s = SinkState.CLOSED, time.perf_counter()
        self._on_failure(stream.name, stream.error)


def sentence_of(name: str, error: BaseException) -> str:
    """What an error says, with the name of the stream that it ended."""
    said = str(error) if isinstance(error, DepthrtError) else f"{type(error).__name__}: {error}"
    return said if name in said else f"{name}: {said}"


def _with_paths(sentence: str, kept: Iterable[str]) -> str:
    """Append the paths of what was kept to a sentence, unless it names them already."""
    unsaid = [path for path in kept if path not in sentence]
    return f"{sentence}; what was done before is in {', '.join(unsaid)}" if unsaid else sentence


def _check_frames(stream: StreamSinks, limits: LiveLimits) -> None:
    """Make sure that a stream gave results.

    Raises:
        SourceError: it gave none.
    """
    if stream.stats.written:
        return
    if stream.stats.late and limits.max_latency_s is not None:
        raise SourceError(
            f"{stream.name}: every frame was older than --max-latency "
            f"{1e3 * limits.max_latency_s:g} ms by the time its depth was there: allow more, or "
            "take a faster model"
        )
    raise SourceError(f"{stream.name} has no frame in the selection")


@contextmanager
def show_progress(total: int | None) -> Iterator[Callable[[], None]]:
    """Show a progress bar on standard error, if that is a terminal; gives what to call per frame.

    Args:
        total: how many frames there will be; None if that is not known.
    """
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
    start_s, done = time.perf_counter(), 0
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("depth", total=total, rate=0.0)

        def advance() -> None:
            nonlocal done
            done += 1
            bar.update(task, advance=1, rate=done / (time.perf_counter() - start_s))

        yield advance

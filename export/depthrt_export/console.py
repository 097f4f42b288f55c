"""What the terminal shows of an export: its phases, and no notes of libraries to their developers.

What a library's settings were before is put back.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

import typer
from rich.console import Console
from rich.status import Status

from depthrt.system.process_settings import Borrowed, Undo, loggers_at, no_warnings

_RARER = 1.5  # times the time at which the last line was said


class Phases:
    """Times of named phases in seconds, in order; shown on standard error.

    The time of a phase inside another one is not counted in the outer one: the times add up to the
    time that passed.

    A terminal shows every phase; a file or a pipe gets a line for each that takes long.
    """

    LONG_S = 10.0

    def __init__(self, quiet: bool = False) -> None:
        # The stream of now: torch's own output is redirected while a phase is shown.
        self._console = Console(file=sys.stderr, quiet=quiet or not sys.stderr.isatty())
        self._quiet = quiet
        self._lines = not quiet and not sys.stderr.isatty()
        self._name, self._start_s, self._next_s = "", 0.0, 0.0
        self.times_s: dict[str, float] = {}
        self.notes: list[str] = []
        self._status: Status | None = None
        self._inner_s = 0.0  # recorded inside the phase that runs

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Run a phase; one that raises is not recorded."""
        start_s = time.perf_counter()
        outer = self._name, self._start_s, self._next_s, self._status, self._inner_s
        self._name, self._start_s, self._next_s, self._inner_s = name, start_s, self.LONG_S, 0.0
        if outer[3] is not None:  # older versions of rich show one at a time
            outer[3].stop()
        try:
            with self._console.status(f"{name} ...") as self._status:
                yield
            passed_s = time.perf_counter() - start_s
            self.times_s[name] = round(passed_s - self._inner_s, 2)
            self._inner_s = passed_s
            if passed_s >= self.LONG_S:
                self._line(f"{name}: done")
            self._console.print(f"[green]✓[/green] {name} [dim]{self.times_s[name]:.1f} s[/dim]")
        finally:
            self._name, self._start_s, self._next_s, self._status = outer[:4]
            self._inner_s += outer[4]
            if self._status is not None:
                self._status.start()

    def note(self, sentence: str) -> None:
        """Tell the user at once, whether or not standard error is a terminal, and keep it."""
        self.notes.append(sentence)
        if not self._quiet:
            typer.echo(sentence, err=True)

    def say(self, what: str) -> None:
        """Show what the phase that runs is at."""
        if self._status is not None:
            self._status.update(f"{what} ...")
        if time.perf_counter() - self._start_s >= self._next_s:
            self._line(f"{self._name}: {what}")

    def _line(self, what: str) -> None:
        """A line for whoever has no terminal, with the seconds that the phase has taken."""
        passed_s = time.perf_counter() - self._start_s
        self._next_s = _RARER * passed_s
        if self._lines:
            typer.echo(f"{what}, {passed_s:.0f} s", err=True)


_this_thread = threading.local()


@contextmanager
def quiet_torch() -> Iterator[None]:
    """Without deprecations inside torch, dumps of graphs and tracebacks of what is caught.

    Of what is printed only this thread's is kept back.
    """
    with no_warnings(), _no_notes(), _shared_stderr():
        before = getattr(_this_thread, "is_muted", False)
        _this_thread.is_muted = True
        try:
            yield
        finally:
            _this_thread.is_muted = before


class _ThreadsApart:
    """Standard error, from which the threads that are muted are kept away."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text of a thread that is not muted."""
        if getattr(_this_thread, "is_muted", False):
            return len(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _tell_threads_apart() -> Undo:
    before = sys.stderr
    apart = cast(TextIO, _ThreadsApart(before)) if before is not None else before
    sys.stderr = apart

    def undo() -> None:
        if sys.stderr is apart:
            sys.stderr = before

    return undo


def _disable_logging() -> Undo:
    before = logging.root.manager.disable
    ours = max(before, logging.WARNING)
    logging.disable(ours)

    def undo() -> None:
        if logging.root.manager.disable == ours:
            logging.disable(before)

    return undo


_no_notes = Borrowed(lambda: loggers_at(logging.CRITICAL, "torch"))
_shared_stderr = Borrowed(_tell_threads_apart)
quiet_quantiser = Borrowed(_disable_logging)
"""Without the quantiser's notes to its own users: it writes them to the root logger."""

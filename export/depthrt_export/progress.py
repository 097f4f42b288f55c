"""What the export is doing, how long each part took, and how much memory all of it."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status


class Phases:
    """Times of named phases in seconds, in order; shown on standard error if it is a terminal."""

    def __init__(self, quiet: bool = False) -> None:
        # The stream of now: torch's own output is redirected while a phase is shown.
        self._console = Console(file=sys.stderr, quiet=quiet or not sys.stderr.isatty())
        self.times_s: dict[str, float] = {}
        self._status: Status | None = None

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Run a phase; one that raises is not recorded."""
        start_s = time.perf_counter()
        with self._console.status(f"{name} ...") as self._status:
            yield
        self.times_s[name] = round(time.perf_counter() - start_s, 2)
        self._status = None
        self._console.print(f"[green]✓[/green] {name} [dim]{self.times_s[name]:.1f} s[/dim]")

    def say(self, what: str) -> None:
        """Show what the phase that runs is at."""
        if self._status is not None:
            self._status.update(f"{what} ...")


def peak_memory_bytes() -> int:
    """The greatest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB

"""What is shown while a batch runs: a bar for people, or JSON lines for programs."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TextIO

Tell = Callable[[str, Mapping[str, Any]], None]


@contextmanager
def show(count: Callable[[], int | None], *, as_json: bool) -> Iterator[Tell]:
    """Tell of events: as JSON lines on standard output, or by a bar on a terminal.

    Args:
        count: gives how many sources there are; None while that is not known.
        as_json: write JSON lines.
    """
    own = sys.stdout
    # Ray writes of every death to standard output, which holds our lines alone.
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        if as_json:
            yield partial(_write_line, own)
        elif sys.stderr.isatty():
            with _bar(count) as tell:
                yield tell
        else:
            yield _tell_trouble


@dataclass
class Progress:
    """How far a batch is; a video of which some segments are done counts as a part of one source.

    - ``sources``: those that are over; ``failed``: of these;
    - ``frames``: computed in this run.
    """

    sources: int = 0
    failed: int = 0
    frames: int = 0
    _made: float = 0.0  # sources that were done in this run
    _parts: dict[str, tuple[float, float]] = field(default_factory=dict)  # before this run, and now
    _at_s: float = 0.0  # of the last event that brought it on

    def note(self, event: str, about: Mapping[str, Any], now_s: float) -> None:
        """Count an event, so many seconds after the beginning of the run."""
        source = about.get("source", "")
        if event == "segment":
            number, count = about["segment"], about["segments"]
            before, _ = self._parts.get(source, (number / count, 0.0))
            self._parts[source] = before, (number + 1) / count
            self.frames += about["frames"]
            self._at_s = now_s
        elif event in ("done", "failed", "skipped"):
            before, _ = self._parts.pop(source, (0.0, 0.0))
            self.sources += 1
            self.failed += event == "failed"
            if event == "done":
                self._made += 1 - before
                self.frames += about["new_frames"]
                self._at_s = now_s
        elif event == "started_over":
            self._parts.pop(source, None)

    @property
    def done(self) -> float:
        """Sources that are over, and the parts of others."""
        return self.sources + sum(now for _, now in self._parts.values())

    @property
    def rate(self) -> float:
        """Frames a second, until the last event."""
        return self.frames / self._at_s if self._at_s else 0.0

    def left_s(self, total: int | None, now_s: float) -> float | None:
        """Seconds until all sources are over, as fast as until now; None: nothing tells yet."""
        made = self._made + sum(now - before for before, now in self._parts.values())
        if total is None or made <= 0:
            return None
        return max(0.0, (total - self.done) * self._at_s / made - (now_s - self._at_s))

    def line(self, total: int | None, now_s: float) -> str:
        """Frames, their rate, failures and the time left."""
        parts = [f"{self.frames} frames, {self.rate:.1f}/s"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        left_s = self.left_s(total, now_s)
        parts.append("time left not known yet" if left_s is None else f"{_clock(left_s)} left")
        return ", ".join(parts)


@contextmanager
def _bar(count: Callable[[], int | None]) -> Iterator[Tell]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    start_s, progress = time.perf_counter(), Progress()

    class Line(ProgressColumn):
        """What is said beside the bar; the time left runs on between two events."""

        def render(self, task: Task) -> Text:
            return Text(progress.line(count(), time.perf_counter() - start_s))

    columns = [BarColumn(), MofNCompleteColumn(), TextColumn("sources,"), Line()]
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("batch", total=None)

        def tell(event: str, about: Mapping[str, Any]) -> None:
            progress.note(event, about, time.perf_counter() - start_s)
            bar.update(task, completed=progress.done, total=count())
            _tell_trouble(event, about)

        yield tell


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _write_line(stream: TextIO, event: str, about: Mapping[str, Any]) -> None:
    stream.write(json.dumps({"event": event, **about}) + "\n")
    stream.flush()


def _tell_trouble(event: str, about: Mapping[str, Any]) -> None:
    """What a person should know at once, in a sentence."""
    said = {
        "failed": "{error}",
        "worker_died": "{source}: {reason}; it is tried again",
        "started_over": "{source}: {reason}; it is started over",
        "outputs_stay": "outputs of --format {format} stay in {out}, beside the new ones",
    }.get(event)
    if said is not None:
        print(f"depthrt: {said.format(**about)}", file=sys.stderr)  # noqa: T201

"""What is shown while a batch runs: a bar for people, or JSON lines for programs."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
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


@contextmanager
def _bar(count: Callable[[], int | None]) -> Iterator[Tell]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = [
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("sources, {task.fields[frames]} frames, {task.fields[rate]:.1f}/s"),
        TextColumn("{task.fields[failed]} failed, left"),
        TimeLeft(),
    ]
    start_s, frames, failed = time.perf_counter(), 0, 0
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("batch", total=None, frames=0, rate=0.0, failed=0)

        def tell(event: str, about: Mapping[str, Any]) -> None:
            nonlocal frames, failed
            frames += about.get("new_frames", about["frames"] if event == "segment" else 0)
            failed += event == "failed"
            bar.update(
                task,
                advance=event in ("done", "failed", "skipped"),
                total=count(),
                frames=frames,
                rate=frames / (time.perf_counter() - start_s),
                failed=failed,
            )
            _tell_trouble(event, about)

        yield tell


def _write_line(stream: TextIO, event: str, about: Mapping[str, Any]) -> None:
    stream.write(json.dumps({"event": event, **about}) + "\n")
    stream.flush()


def _tell_trouble(event: str, about: Mapping[str, Any]) -> None:
    """What a person should know at once, in a sentence."""
    said = {
        "failed": "{error}",
        "worker_died": "{source}: {reason}; it is tried again",
        "started_over": "{source}: {reason}; it is started over",
    }.get(event)
    if said is not None:
        print(f"depthrt: {said.format(**about)}", file=sys.stderr)  # noqa: T201

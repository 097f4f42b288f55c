"""`depthrt tune`: how this machine runs a model best."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from depthrt.jobs.tune import Outcome, Trial


class ObjectiveName(str, Enum):
    """What is to be small."""

    latency = "latency"
    throughput = "throughput"


def tune(
    model: Annotated[
        str | None, typer.Argument(help="A depthrt .onnx file or built-in name.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Time to measure for.")] = 20.0,
    objective: Annotated[
        ObjectiveName | None,
        typer.Option(
            help="Lowest time of one inference, or most frames per second. Not said: latency for "
            "cameras, streams and Python, throughput for files."
        ),
    ] = None,
    max_error: Annotated[
        float,
        typer.Option(help="Mean difference to the CPU provider allowed, of the depth's spread."),
    ] = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure provider, threads, spinning, precision and batch, and keep the best.

    The built-in clip runs through the whole pipeline of `depthrt run` with every candidate in turn.
    `depthrt run` and Python use what was found as long as provider and threads are not given.
    """
    from depthrt.jobs.tune import tune as measure
    from depthrt.model.registry import find_model
    from depthrt.model.tuning_cache import check_cache, save

    path = find_model(model)
    check_cache()
    with _progress() as progress:
        outcome = measure(
            path,
            seconds=seconds,
            objective=None if objective is None else objective.value,
            max_error=max_error,
            progress=progress,
        )
    _print_table(outcome, to_stderr=as_json)
    kept = save(path, outcome.tuning)
    if as_json:
        typer.echo(json.dumps(document(outcome, path, kept)))
        return
    for line in explanation(outcome, kept):
        typer.echo(line)


def document(outcome: Outcome, model: Path, kept: Path) -> dict[str, Any]:
    """The JSON document of ``--json``; times in milliseconds."""
    return {
        "model": str(model),
        "kept": str(kept),
        "seconds": outcome.seconds,
        **outcome.tuning.as_dict(),
        "candidates": [_row(trial) for trial in outcome.trials],
    }


def explanation(outcome: Outcome, kept: Path) -> list[str]:
    """Three lines: what was measured, what was chosen for files, what for one frame."""
    files, one, default = outcome.tuning.throughput, outcome.tuning.latency, outcome.default
    refused = sum(bool(trial.note) for trial in outcome.trials)
    out = f", {refused} refused" if refused else ""
    return [
        f"{len(outcome.trials)} candidates{out}, each in turn in the pipeline of `depthrt run` on "
        f"the built-in clip, {outcome.seconds:.0f} s; kept in {kept}",
        f"files: {files.line()}: {files.frame_ms:.1f} ms a frame, "
        f"{default.frame_ms / files.frame_ms:.2f} x the rate of {default.line()}",
        f"cameras, streams, Python: {one.line()}: {one.infer_ms:.1f} ms an inference, "
        f"{one.infer_ms / default.infer_ms:.2f} x the time of {default.line()}",
    ]


def _row(trial: Trial) -> dict[str, Any]:
    timed = trial.choice() if trial.frame_ms else None
    return {
        "provider": trial.options.provider,
        "threads": trial.options.threads,
        "spinning": trial.options.spinning,
        "precision": trial.options.precision,
        "batch": trial.batch,
        "finalist": trial.finalist,
        "blocks": len(trial.frame_ms),
        "infer_ms": None if timed is None else timed.infer_ms,
        "frame_ms": None if timed is None else timed.frame_ms,
        "error": trial.error,
        "note": trial.note,
    }


def _print_table(outcome: Outcome, *, to_stderr: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for name in ("candidate", "batch", "ms a frame", "ms an inference", "error", ""):
        words = name in ("candidate", "")
        table.add_column(name, justify="left" if words else "right", no_wrap=name == "candidate")
    tuning = outcome.tuning
    for trial in outcome.trials:
        timed = trial.choice() if trial.frame_ms else None
        times = ("-", "-") if timed is None else (f"{timed.frame_ms:.1f}", f"{timed.infer_ms:.1f}")
        marks = [
            word
            for word, choice in (("files", tuning.throughput), ("one frame", tuning.latency))
            if (trial.options, trial.batch) == (choice.options, choice.batch)
        ]
        note = trial.note or ", ".join(marks) or ("" if trial.finalist else "screening only")
        row = (trial.options.line(), str(trial.batch), *times, f"{trial.error:.3f}", note)
        table.add_row(*row)
    Console(stderr=to_stderr).print(table)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A line on standard error that says what is being done, on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        yield status.update

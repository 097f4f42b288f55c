"""`depthrt tune`: how this machine runs a model best."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from depthrt.cli.share import parse_share

if TYPE_CHECKING:
    from depthrt.jobs.tune.race import Trial, Verdict
    from depthrt.jobs.tune.tune import Outcome
    from depthrt.model.tuning_cache import Objective


class ObjectiveName(str, Enum):
    """What the choice is to be best for."""

    latency = "latency"
    throughput = "throughput"


def tune(
    model: Annotated[
        str | None, typer.Argument(help="A depthrt .onnx file or built-in name; depthrt-s.")
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="Longest time to measure for; it ends when the best is sure.")
    ] = 20.0,
    objective: Annotated[
        ObjectiveName | None,
        typer.Option(
            help="Lowest time of one inference, or most frames per second. Not given: latency for "
            "cameras, streams and Python, throughput for files."
        ),
    ] = None,
    max_error: Annotated[
        float,
        typer.Option(
            help="Largest mean difference to the CPU provider's depth, as a share of its spread."
        ),
    ] = 0.05,
    keyframes: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Say what `depthrt run --keyframes SHARE` gains for files, too.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure provider, threads, precision, parallel inferences and batch, and keep the best.

    Of every candidate in turn, the built-in clip through the whole pipeline of `depthrt run` is
    measured for files, and inferences alone for cameras and Python.
    The first row of the table is what `depthrt run` does with a file untuned. It and Python use
    what was found as long as provider and threads are not given.
    """
    from depthrt.jobs.tune.tune import tune as measure
    from depthrt.model.catalogue.registry import find_model
    from depthrt.model.tuning_cache import check_cache, save
    from depthrt.temporal.keyframes import keyframes_of

    share = None if keyframes is None else parse_share(keyframes, "--keyframes")
    path = find_model(model)
    check_cache()
    with _progress() as progress:
        outcome = measure(
            path,
            seconds=seconds,
            objective=None if objective is None else objective.value,
            max_error=max_error,
            keyframes=keyframes_of(share),
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
    rows = zip(outcome.trials, outcome.verdicts, strict=True)
    return {
        "model": str(model),
        "kept": str(kept),
        "seconds": outcome.seconds,
        "sure": outcome.sure,
        "load_before": outcome.load,
        **outcome.tuning.as_dict(),
        "untuned": outcome.untuned.as_dict(),
        "beside_untuned": {
            name: None if gain is None else asdict(gain) for name, gain in outcome.gains.items()
        },
        "keyframes": None if outcome.keyframes is None else asdict(outcome.keyframes),
        "candidates": [_row(trial, verdicts) for trial, verdicts in rows],
    }


_BUSY = 0.5  # of the cores
_ADVICE_BUSY = (
    "other programs kept this machine busy (load {:.1f} on {} cores): what is best beside them may "
    "not be best without them, so tune again when they are done"
)


def explanation(outcome: Outcome, kept: Path) -> list[str]:
    """Lines that say what was measured, what was taken for files and for one frame, how surely."""
    from depthrt.system.cpu_cores import usable_cores

    files, one = outcome.tuning.throughput, outcome.tuning.latency
    refused = sum(bool(trial.note) for trial in outcome.trials)
    out = f", {refused} refused" if refused else ""
    unsure = (
        "" if outcome.sure else "; the time was up before the best was sure: give more --seconds"
    )
    busy = outcome.load is not None and outcome.load > _BUSY * usable_cores()
    advice = [_ADVICE_BUSY.format(outcome.load, usable_cores())] if busy else []
    return [
        *advice,
        f"{len(outcome.trials)} candidates{out}, each in turn in the pipeline of `depthrt run` on "
        f"the built-in clip and alone, {outcome.seconds:.0f} s{unsure}; kept in {kept}",
        f"files: {files.line()}: {files.frame_ms:.1f} ms a frame, {_gain(outcome, 'throughput')}",
        f"cameras, streams, Python: {one.line()}: {one.infer_ms:.1f} ms an inference, "
        f"{_gain(outcome, 'latency')}",
        *([] if outcome.keyframes is None else [outcome.keyframes.line()]),
    ]


def _gain(outcome: Outcome, objective: Objective) -> str:
    """How what is kept compares with what runs untuned."""
    untuned, found = outcome.untuned.choice(objective), outcome.gains[objective]
    if found is None:
        return "as it runs untuned"
    return f"{found.line()} of the time of {untuned.line()}, which runs untuned"


def _row(trial: Trial, verdicts: dict[Objective, Verdict]) -> dict[str, Any]:
    timed = trial.choice() if trial.blocks else None
    return {
        **asdict(trial.options),
        "batch": trial.batch,
        "finalist": trial.finalist,
        "blocks": len(trial.blocks),
        "infer_ms": None if timed is None else timed.infer_ms,
        "frame_ms": None if timed is None else timed.frame_ms,
        "error": trial.error,
        "note": trial.note,
        "beside_choice": {name: asdict(verdict) for name, verdict in verdicts.items()},
    }


def _print_table(outcome: Outcome, *, to_stderr: bool) -> None:
    """A row for each candidate; below, why those were not taken that look better."""
    from rich.console import Console
    from rich.table import Table

    table, below = Table(box=None, header_style="bold", padding=(0, 1, 0, 0)), []
    for name in ("candidate", "parallel", "batch", "ms a frame", "ms an\ninference", "error", ""):
        words = name in ("candidate", "")
        table.add_column(name, justify="left" if words else "right", no_wrap=bool(name))
    for trial, verdicts in zip(outcome.trials, outcome.verdicts, strict=True):
        timed = trial.choice() if trial.blocks else None
        times = ("-", "-") if timed is None else (f"{timed.frame_ms:.1f}", f"{timed.infer_ms:.1f}")
        reasons = _reasons(trial, verdicts)
        uses = _uses(outcome, trial)
        mark = ", ".join(uses) or ("see below" if reasons else "")
        table.add_row(
            replace(trial.options, parallel=1).line(), str(trial.options.parallel),
            str(trial.batch), *times, f"{trial.error:.3f}", mark,
        )  # fmt: skip
        below += [f"{trial.line()}: {reason}" for reason in reasons]
    console = Console(stderr=to_stderr, soft_wrap=True, highlight=False)
    console.print(table, soft_wrap=False)
    for line in below:
        console.print(line, markup=False)


_USES: dict[Objective, str] = {"throughput": "files", "latency": "one frame"}


def _uses(outcome: Outcome, trial: Trial) -> list[str]:
    """What a trial was taken for."""
    tried = (trial.options, trial.batch)
    choices = {use: outcome.tuning.choice(objective) for objective, use in _USES.items()}
    return [use for use, choice in choices.items() if (choice.options, choice.batch) == tried]


def _reasons(trial: Trial, verdicts: dict[Objective, Verdict]) -> list[str]:
    """Why a trial was refused, or not taken though it looks faster."""
    if trial.note:
        return [f"refused: {trial.note}"]
    found = {use: verdicts[each].reason for each, use in _USES.items() if each in verdicts}
    return [f"{use}: {reason}" for use, reason in found.items() if reason]


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A line on standard error, if it is a terminal, that says what is being done."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        yield status.update

"""`depthrt eval`: accuracy of a model on labelled sets, flicker on clips."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from depthrt.errors import EXIT_INTERRUPTED
from depthrt_benchmarks.evaluation import cli_options as said

app = typer.Typer(add_completion=False)


class WithMargin(TyperCommand):
    """`--fail-worse` may stand without its number."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert the default margin where none is given."""
        from depthrt_benchmarks.evaluation.gates.fail_worse import with_margin

        return list(super().parse_args(ctx, with_margin(args)))


@app.command(cls=WithMargin)
def evaluate(
    model: said.Model,
    datasets: said.Datasets,
    compare: said.Compare = None,
    align: said.Align = None,
    crop: said.Crop = None,
    min_depth: said.MinDepth = None,
    max_depth: said.MaxDepth = None,
    resize: said.Resize = None,
    flip: said.Flip = False,
    video: said.Video = True,
    layout: said.Layout = None,
    depth_scale: said.DepthScale = None,
    invalid: said.Invalid = None,
    near: said.Near = None,
    far: said.Far = None,
    max_images: said.MaxImages = None,
    provider: said.Provider = "auto",
    threads: said.Threads = None,
    fresh: said.Fresh = False,
    output: said.Output = None,
    table: said.Table = None,
    report: said.Report = None,
    max_abs_rel: said.MaxAbsRel = None,
    fail_worse: said.FailWorse = None,
    min_images: said.MinImages = None,
    track: said.Track = None,
    overwrite: said.Overwrite = False,
    as_json: said.AsJson = False,
) -> None:
    """Measure the accuracy of a model's depth by a named protocol.

    Alignment, crop, range and resize follow from the model's spec and the set. They stand in every
    output and can be set. Means are over images, with bootstrap intervals. An interrupted
    evaluation continues when the command is run again.

    Examples: `depthrt eval depthrt-s sets/ --report out.html`,
    `depthrt eval small.onnx nyu/ --compare float.onnx`, `depthrt eval depthrt-s clip.mp4`.

    A gate for CI: `depthrt eval new.onnx sets/ --compare old.onnx --fail-worse`.
    """
    from depthrt_benchmarks.common.output_files import check_targets
    from depthrt_benchmarks.common.report import mlflow_log
    from depthrt_benchmarks.common.report.page import require_libraries
    from depthrt_benchmarks.evaluation.datasets.base import ReadOptions, parse_invalid
    from depthrt_benchmarks.evaluation.gates.fail_worse import check_worse
    from depthrt_benchmarks.evaluation.gates.judged_images import check_need, judge_nothing
    from depthrt_benchmarks.evaluation.gates.max_abs_rel import check_gate
    from depthrt_benchmarks.evaluation.job import Job, execute
    from depthrt_benchmarks.evaluation.protocol.protocol import Choices
    from depthrt_benchmarks.evaluation.report.outputs import whole_document, write_outputs
    from depthrt_benchmarks.evaluation.report.table import show
    from depthrt_benchmarks.evaluation.scoring.evaluate import NothingScoredError

    gated = max_abs_rel is not None or fail_worse is not None
    need = check_need(min_images, max_images, gated=gated)
    gate = check_gate(max_abs_rel, need, datasets)
    worse = check_worse(fail_worse, need, datasets, compare or [])
    check_targets(
        {"--output": output, "--csv": table, "--report": report},
        overwrite=overwrite,
        sources=[Path(place) for place in (model, *datasets, *(compare or []))],
        read=[Path(place) for place in datasets],
    )
    if report is not None:
        require_libraries("--report", "bench")
    if track is not None:
        mlflow_log.check(track)
    choices = Choices(
        None if align is None else align.value,
        crop,
        min_depth,
        max_depth,
        None if resize is None else resize.value,
        flip,
    )
    job = Job(
        model=model,
        datasets=datasets,
        against=compare or [],
        layout=layout,
        choices=choices,
        reading=ReadOptions(depth_scale, near, far, parse_invalid(invalid)),
        provider=provider,
        threads=threads,
        max_images=max_images,
        video=video,
        fresh=fresh,
        gate=gate,
        worse=worse,
    )
    try:
        with _progress() as progress:
            outcome = execute(job, progress)
            write_outputs(outcome, output, table, report, overwrite=overwrite)
    except NothingScoredError as error:
        if not gated:
            raise
        raise judge_nothing(need, error) from error
    except KeyboardInterrupt as error:
        typer.echo(
            "depthrt: interrupted; what was measured is kept: run the same command again, it goes "
            "on from there",
            err=True,
        )
        raise typer.Exit(EXIT_INTERRUPTED) from error
    if as_json:
        typer.echo(json.dumps(whole_document(outcome), allow_nan=False))
    else:
        show(outcome, to_stderr=False)
    for warning in outcome.warnings():
        typer.echo(f"depthrt: {warning}", err=True)
    for journal in outcome.journals:
        journal.remove()
    if track is not None:
        from depthrt_benchmarks.evaluation.report.mlflow_runs import runs

        files = tuple(path for path in (table, report) if path is not None)
        for run in runs(whole_document(outcome), outcome.paths, files):
            mlflow_log.log(track, run)
    outcome.raise_if_failed()


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Remaining(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def say(what: str, done: int, total: int) -> None:
            if bar.tasks[0].description != what:
                bar.reset(task, description=what, total=total, completed=done)
            bar.update(task, completed=done, total=total)

        yield say

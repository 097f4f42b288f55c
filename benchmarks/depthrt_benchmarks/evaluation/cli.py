"""`depthrt eval`: accuracy of a model on labelled sets, flicker on clips."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from depthrt.errors import EXIT_INTERRUPTED

app = typer.Typer(add_completion=False)


class AlignName(str, Enum):
    """How a prediction is aligned with the truth."""

    disparity_lsq = "disparity-lsq"
    depth_lsq = "depth-lsq"
    median = "median"
    none = "none"
    sequence_disparity_lsq = "sequence-disparity-lsq"


class ResizeName(str, Enum):
    """How a prediction is resized to the truth."""

    align_corners = "align-corners"
    half_pixel = "half-pixel"


_PROTOCOL, _FILES, _MACHINE, _OUTPUT = "Protocol", "Reading the set", "How it runs", "Output"


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="A depthrt .onnx file or built-in name.")],
    datasets: Annotated[
        list[str],
        typer.Argument(
            metavar="DATASET...",
            help="Folders of labelled sets, or a folder of such folders; NYUv2's .mat; clips "
            "without labels, for flicker only.",
        ),
    ],
    compare: Annotated[
        list[str] | None,
        typer.Option(
            "--compare", help="Another model, or the --csv of an earlier run: paired differences."
        ),
    ] = None,
    align: Annotated[
        AlignName | None,
        typer.Option(
            help="Default: none for metric models, else least squares on the model's output.",
            rich_help_panel=_PROTOCOL,
        ),
    ] = None,
    crop: Annotated[
        str | None,
        typer.Option(
            help="none, nyu-eigen, garg, eigen, kitti-benchmark; joined by +. Default: the set's.",
            rich_help_panel=_PROTOCOL,
        ),
    ] = None,
    min_depth: Annotated[
        float | None, typer.Option(help="Metres; truth must lie above.", rich_help_panel=_PROTOCOL)
    ] = None,
    max_depth: Annotated[
        float | None,
        typer.Option(
            help="Metres; truth must lie below, predictions are capped.", rich_help_panel=_PROTOCOL
        ),
    ] = None,
    resize: Annotated[
        ResizeName | None,
        typer.Option(help="Default: the set's.", rich_help_panel=_PROTOCOL),
    ] = None,
    flip: Annotated[
        bool,
        typer.Option("--flip", help="Average with the mirrored image.", rich_help_panel=_PROTOCOL),
    ] = False,
    video: Annotated[
        bool,
        typer.Option(
            "--video/--no-video",
            help="Flicker and TAE where a set is a video.",
            rich_help_panel=_PROTOCOL,
        ),
    ] = True,
    layout: Annotated[
        str | None,
        typer.Option(
            help="dataset-json, tum, ibims, sintel, diode, kitti, eth3d, nyu, gta, pairs. "
            "Default: detected.",
            rich_help_panel=_FILES,
        ),
    ] = None,
    depth_scale: Annotated[
        float | None,
        typer.Option(help="Metres per unit of the depth files.", rich_help_panel=_FILES),
    ] = None,
    near: Annotated[
        float | None, typer.Option(help="GTA V: near plane in metres.", rich_help_panel=_FILES)
    ] = None,
    far: Annotated[
        float | None, typer.Option(help="GTA V: far plane in metres.", rich_help_panel=_FILES)
    ] = None,
    max_images: Annotated[
        int | None,
        typer.Option(
            help="Limit per set: evenly spread images, of a video the first ones.",
            rich_help_panel=_FILES,
        ),
    ] = None,
    provider: Annotated[
        str, typer.Option(help="auto, cpu, cuda, openvino, ...", rich_help_panel=_MACHINE)
    ] = "auto",
    threads: Annotated[
        int | None, typer.Option(help="Threads of the network.", min=1, rich_help_panel=_MACHINE)
    ] = None,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            help="Start anew, without the results of an interrupted run.",
            rich_help_panel=_MACHINE,
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Write JSON with machine and versions.", rich_help_panel=_OUTPUT
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option("--csv", help="Write a table with a line per image.", rich_help_panel=_OUTPUT),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Write an HTML page that shows the worst images (needs the extra bench).",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    max_abs_rel: Annotated[
        float | None,
        typer.Option(
            help="Gate: exit 3 if the model's AbsRel on a set is above this, if too few images "
            "could be judged, or if it gave NaN.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    min_images: Annotated[
        str | None,
        typer.Option(
            metavar="N|SHARE%",
            help="How many images of each set --max-abs-rel must judge: 500, or 95%. Default: all "
            "that --max-images leaves.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    track: Annotated[
        str | None,
        typer.Option(metavar="DIR|URI", help="Log the run with MLflow.", rich_help_panel=_OUTPUT),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace outputs.", rich_help_panel=_OUTPUT)
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document.", rich_help_panel=_OUTPUT)
    ] = False,
) -> None:
    """Measure the accuracy of a model's depth by a named protocol.

    Alignment, crop, range and resize follow from the model's spec and the set. They stand in every
    output and can be set. Means are over images, with bootstrap intervals. An interrupted
    evaluation continues when the command is run again.

    Examples: `depthrt eval depthrt-s sets/ --report out.html`,
    `depthrt eval small.onnx nyu/ --compare float.onnx`, `depthrt eval depthrt-s clip.mp4`.
    """
    from depthrt_benchmarks.common.output_files import check_targets
    from depthrt_benchmarks.common.report import mlflow_log
    from depthrt_benchmarks.common.report.page import require_libraries
    from depthrt_benchmarks.evaluation.datasets.base import ReadOptions
    from depthrt_benchmarks.evaluation.gate import check_gate, judge_nothing
    from depthrt_benchmarks.evaluation.job import Job, execute
    from depthrt_benchmarks.evaluation.protocol.protocol import Choices
    from depthrt_benchmarks.evaluation.report.outputs import whole_document, write_outputs
    from depthrt_benchmarks.evaluation.report.table import show
    from depthrt_benchmarks.evaluation.scoring.evaluate import NothingScoredError

    gate = check_gate(max_abs_rel, min_images, datasets, max_images)
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
        reading=ReadOptions(depth_scale, near, far),
        provider=provider,
        threads=threads,
        max_images=max_images,
        video=video,
        fresh=fresh,
        gate=gate,
    )
    try:
        with _progress() as progress:
            outcome = execute(job, progress)
            write_outputs(outcome, output, table, report, overwrite=overwrite)
    except NothingScoredError as error:
        if gate is None:
            raise
        raise judge_nothing(gate, error) from error
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
        from depthrt_benchmarks.evaluation.report.tracked_runs import runs

        files = tuple(path for path in (table, report) if path is not None)
        for run in runs(whole_document(outcome), outcome.paths, files):
            mlflow_log.log(track, run)
    if outcome.verdict is not None:
        outcome.verdict.raise_if_failed()


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

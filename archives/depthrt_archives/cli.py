"""`depthrt batch`: depth of archives, on this machine or on a cluster."""

from __future__ import annotations

import json
import time
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from depthrt.errors import UsageError

if TYPE_CHECKING:
    from depthrt.temporal.keyframes import Keyframes
    from depthrt_archives.engines.base import Engine
    from depthrt_archives.tasks import BatchOptions

app = typer.Typer(add_completion=False)

_LOOK, _MACHINE, _TROUBLE = "How it looks", "Where it runs", "When something fails"


class FormName(str, Enum):
    """What is written of each source."""

    mp4 = "mp4"
    mkv = "mkv"
    npz = "npz"
    png = "png"


class EngineName(str, Enum):
    """Where workers run."""

    local = "local"
    ray = "ray"


class ViewName(str, Enum):
    """What pictures show."""

    depth = "depth"
    side = "side"
    overlay = "overlay"


class SizeName(str, Enum):
    """Size of depth maps."""

    network = "network"
    source = "source"


@app.command()
def batch(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCES...",
            help="Videos, pictures, folders (with all below them), globs, s3:// and other fsspec "
            "URLs, or @list.txt with one of these a line.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FOLDER", help="The folder for all outputs."),
    ],
    form: Annotated[
        FormName,
        typer.Option(
            "--format",
            help="Of each source: mp4 (to look at; png of a picture), mkv (16-bit, lossless), npz "
            "(float32) or png (a folder of 16-bit PNG).",
        ),
    ] = FormName.mp4,
    model: Annotated[
        str | None,
        typer.Option("-m", "--model", help="A depthrt .onnx file or the name of a model."),
    ] = None,
    size: Annotated[
        SizeName, typer.Option(help="Size of depth maps in mkv, npz and png.")
    ] = SizeName.network,
    view: Annotated[
        ViewName, typer.Option(help="What mp4 shows.", rich_help_panel=_LOOK)
    ] = ViewName.depth,
    colormap: Annotated[
        str, typer.Option(help="inferno, magma, viridis, turbo, ...", rich_help_panel=_LOOK)
    ] = "inferno",
    stabilise: Annotated[
        bool | None,
        typer.Option(
            "--stabilise/--no-stabilise",
            help="Take the flicker out of the depth. Default: with mp4.",
            show_default=False,
            rich_help_panel=_LOOK,
        ),
    ] = None,
    reuse: Annotated[
        bool,
        typer.Option("--reuse", help="While the picture does not change, reuse the last depth."),
    ] = False,
    keyframes: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="As for `depthrt run`: the network on a few frames.",
        ),
    ] = None,
    engine: Annotated[
        EngineName,
        typer.Option(help="Processes of this machine, or a Ray cluster.", rich_help_panel=_MACHINE),
    ] = EngineName.local,
    address: Annotated[
        str | None,
        typer.Option(
            help="Of the Ray cluster, as 10.0.0.1:6379 or auto. Default: one on this machine.",
            rich_help_panel=_MACHINE,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="How many. Default: as many as there are cores for.",
            min=1,
            rich_help_panel=_MACHINE,
        ),
    ] = None,
    cores: Annotated[
        int, typer.Option(help="Of each worker.", min=1, rich_help_panel=_MACHINE)
    ] = 1,
    provider: Annotated[
        str, typer.Option(help="auto, cpu, cuda, openvino, ...", rich_help_panel=_MACHINE)
    ] = "auto",
    segment: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="Videos longer than one and a half of it are cut at key frames, not before this "
            "time. A worker that dies loses a segment at most.",
            min=0.1,
            rich_help_panel=_MACHINE,
        ),
    ] = 60.0,
    retries: Annotated[
        int,
        typer.Option(
            help="How often a task is tried again after its worker died.",
            min=0,
            rich_help_panel=_TROUBLE,
        ),
    ] = 4,
    max_failures: Annotated[
        int | None,
        typer.Option(
            help="Stop when more sources than these have failed. Default: go on to the end.",
            min=0,
            rich_help_panel=_TROUBLE,
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace files of these names, and go on with other settings; outputs that "
            "have other names stay.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each event as a line of JSON.")
    ] = False,
) -> None:
    """Depth of archives: each source once, whatever dies.

    The same command again does only what is missing. `manifest.jsonl` among the outputs says what
    was made of which bytes.

    Examples: `depthrt batch clips/ -o out/`, `depthrt batch clips/ -o maps/ --format npz`,
    `depthrt batch s3://BUCKET/day/ -o /mnt/shared/out --engine ray --address auto`.
    """
    from depthrt.temporal.frame_reuse import Reuse
    from depthrt_archives.batch import Batch, SourceCount, execute, prepare
    from depthrt_archives.progress import show
    from depthrt_archives.tasks import BatchOptions

    if form is not FormName.mp4 and view is not ViewName.depth:
        raise UsageError(f"--view is for mp4: leave it out with --format {form.value}")
    options = BatchOptions(
        out=output,
        model=Path(model or ""),
        form=form.value,
        view=view.value,
        colormap=colormap,
        size=size.value,
        stabilise=stabilise,
        reuse=Reuse() if reuse else None,
        keyframes=_keyframes(keyframes),
        provider=provider,
        segment_s=segment,
        cores=cores,
        overwrite=overwrite,
    )
    job = prepare(Batch(tuple(sources), options, workers or 1, retries, max_failures))
    made, number = _engine(engine, job.options, address, workers)
    job = Batch(job.words, job.options, number, retries, max_failures)
    start_s = time.perf_counter()
    count = SourceCount(job)
    try:
        with show(count, as_json=as_json) as tell:
            totals = execute(job, made, tell)
    except KeyboardInterrupt:
        typer.echo("depthrt: what is done stays; the same command goes on from here", err=True)
        raise
    seconds = time.perf_counter() - start_s
    summary = {
        "done": totals.done,
        "skipped": totals.skipped,
        "failed": len(totals.failures),
        "frames": totals.frames,
        "retries": totals.retries,
        "seconds": seconds,
    }
    if totals.stopped and not (totals.done or totals.frames or totals.failures):
        typer.echo(f"depthrt: {totals.stopped}", err=True)  # no worker could begin
        raise typer.Exit(totals.exit_code)
    if as_json:
        typer.echo(json.dumps({"event": "summary", **summary, "failures": totals.failures}))
    else:
        typer.echo(
            f"{totals.done} done, {totals.skipped} done before, {len(totals.failures)} failed; "
            f"{totals.frames} frames in {seconds:.1f} s ({totals.frames / seconds:.1f}/s), "
            f"{totals.retries} retries -> {job.options.out}"
        )
    if totals.stopped:
        typer.echo(f"depthrt: {totals.stopped}; the same command goes on from here", err=True)
        raise typer.Exit(totals.exit_code)
    if totals.failures:
        raise typer.Exit(1)


def _keyframes(budget: str | None) -> Keyframes | None:
    from depthrt.cli.share import parse_share
    from depthrt.temporal.keyframes import Keyframes

    return None if budget is None else Keyframes(parse_share(budget, "--keyframes"))


def _engine(
    name: EngineName, options: BatchOptions, address: str | None, workers: int | None
) -> tuple[Engine, int]:
    """The engine, and how many workers it has."""
    if name is EngineName.ray:
        from depthrt_archives.engines.ray import open_ray

        return open_ray(options, address, workers)
    if address is not None:
        raise UsageError("--address is that of a Ray cluster: give --engine ray, too")
    from depthrt.system.cpu_cores import usable_cores
    from depthrt_archives.engines.local import LocalEngine

    number = workers or max(1, usable_cores() // options.cores)
    return LocalEngine(options), number

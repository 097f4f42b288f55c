"""`depthrt run`: depth of videos, images, cameras and streams, one or many at once."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from depthrt.errors import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from depthrt.summary import Summary, Totals


class ViewName(str, Enum):
    """What a view shows."""

    depth = "depth"
    side = "side"
    overlay = "overlay"


class FormName(str, Enum):
    """What is written of each of several sources."""

    mp4 = "mp4"
    mkv = "mkv"
    npz = "npz"
    png = "png"


_SELECT, _LOOK, _MACHINE = "Which frames", "How it looks", "How it runs"
_LIVE = "Live sources"


def run(
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Video, image, folder, glob, camera number, rtsp:// or http:// URL, or 'demo'. "
            "Several run at once.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help=".mp4 to look at; .mkv (16-bit, lossless), .npz (float32) or a folder of 16-bit "
            "PNG to compute with; .png or .jpg for one image. "
            "Default: the source's name with _depth. "
            "With several sources: the folder for an output of each.",
        ),
    ] = None,
    form: Annotated[
        FormName | None,
        typer.Option(
            "--format",
            help="What is written of each of several sources: mp4 (of single images png), mkv, "
            "npz, or png for a folder of 16-bit PNG; -o is a folder with it for one source, too.",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="A depthrt .onnx file or built-in name.")
    ] = None,
    start: Annotated[
        float, typer.Option(help="Seconds to begin at.", rich_help_panel=_SELECT)
    ] = 0.0,
    end: Annotated[
        float | None, typer.Option(help="Seconds to end before.", rich_help_panel=_SELECT)
    ] = None,
    stride: Annotated[int, typer.Option(help="Every n-th frame.", rich_help_panel=_SELECT)] = 1,
    max_frames: Annotated[
        int | None, typer.Option(help="At most so many frames.", rich_help_panel=_SELECT)
    ] = None,
    view: Annotated[
        ViewName,
        typer.Option(help="Depth, picture and depth, or both in one.", rich_help_panel=_LOOK),
    ] = ViewName.depth,
    colormap: Annotated[
        str,
        typer.Option(help="inferno, magma, plasma, viridis, turbo, ...", rich_help_panel=_LOOK),
    ] = "inferno",
    show: Annotated[
        bool, typer.Option("--show", help="Show it in a window (q ends).", rich_help_panel=_LOOK)
    ] = False,
    provider: Annotated[
        str,
        typer.Option(help="auto, cpu, cuda, tensorrt, openvino, ...", rich_help_panel=_MACHINE),
    ] = "auto",
    threads: Annotated[
        int | None,
        typer.Option(help="Threads of the network.", min=1, rich_help_panel=_MACHINE),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            help="Frames per inference; 1, or what `depthrt tune` found.", rich_help_panel=_MACHINE
        ),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(help="Take at most so many frames a second of each.", rich_help_panel=_LIVE),
    ] = None,
    max_latency: Annotated[
        float | None,
        typer.Option(
            metavar="MS",
            help="Drop frames older than so many milliseconds.",
            rich_help_panel=_LIVE,
        ),
    ] = None,
    reconnect: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="How long one that goes away is tried again; inf for ever.",
            rich_help_panel=_LIVE,
        ),
    ] = 60.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as one JSON document.")
    ] = False,
) -> None:
    """Depth of videos, images, folders, cameras and network streams.

    Examples: `depthrt run demo`, `depthrt run clip.mp4 --view side`,
    `depthrt run clip.mp4 -o depth.mkv`, `depthrt run 0 --show`.

    Several at once, batched through one model, an output of each in a folder; one that fails does
    not stop the others: `depthrt run clips/*.mp4 -o out/`,
    `depthrt run 0 rtsp://camera/stream -o out/ --format mkv`.

    Live sources keep the newest frame, so that depth is never late, and count those dropped.
    """
    from depthrt.lanes import LiveLimits
    from depthrt.running import Job, execute
    from depthrt.running_many import execute_many
    from depthrt.sources import Selection, split_source

    limits = LiveLimits(None if max_latency is None else max_latency / 1e3, fps, reconnect)
    job = Job(
        source=source[0],
        output=output,
        model=model,
        selection=Selection(start, end, stride, max_frames),
        view=view.value,
        colormap=colormap,
        show=show,
        provider=provider,
        threads=threads,
        batch=batch,
        overwrite=overwrite,
        limits=limits,
    )
    sources = [part for text in source for part in split_source(text)]
    summary: Summary | Totals
    if len(sources) == 1 and form is None:
        summary = execute(job)
    else:
        summary = execute_many(job, sources, form.value if form else None, _complain)
    typer.echo(json.dumps(summary.as_dict()) if as_json else summary.line())
    for warning in summary.warnings:
        _complain(warning)
    if summary.interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if summary.failed:
        raise typer.Exit(1)


def _complain(sentence: str) -> None:
    typer.echo(f"depthrt: {sentence}", err=True)

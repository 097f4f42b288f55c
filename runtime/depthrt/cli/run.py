"""`depthrt run`: depth of a video, an image, a camera or a stream."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from depthrt.errors import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from depthrt.running import Summary


class ViewName(str, Enum):
    """What a view shows."""

    depth = "depth"
    side = "side"
    overlay = "overlay"


_SELECT, _LOOK, _MACHINE = "Which frames", "How it looks", "How it runs"


def run(
    source: Annotated[
        str,
        typer.Argument(
            help="Video, image, folder, glob, camera number, rtsp:// or http:// URL, or 'demo'.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help=".mp4 to look at; .mkv (16-bit, lossless), .npz (float32) or a folder of 16-bit "
            "PNG to compute with; .png or .jpg for one image. "
            "Default: the source's name with _depth.",
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as one JSON document.")
    ] = False,
) -> None:
    """Depth of a video, an image, a folder, a camera or a network stream.

    Examples: `depthrt run demo`, `depthrt run clip.mp4 --view side`,
    `depthrt run clip.mp4 -o depth.mkv`, `depthrt run 0 --show`.
    """
    from depthrt.running import Job, execute
    from depthrt.sources import Selection

    summary = execute(
        Job(
            source=source,
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
        )
    )
    typer.echo(json.dumps(summary.as_dict()) if as_json else summary.line())
    for warning in summary.warnings:
        typer.echo(f"depthrt: {warning}", err=True)
    _exit(summary)


def _exit(summary: Summary) -> None:
    if summary.interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if summary.lost:
        raise typer.Exit(1)

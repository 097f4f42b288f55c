"""`depthrt run`: depth of videos, images, cameras and streams, one or many at once."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from depthrt.errors import EXIT_INTERRUPTED

if TYPE_CHECKING:
    from depthrt.jobs.summary import Summary, Totals


class ViewName(str, Enum):
    """What a view shows."""

    depth = "depth"
    side = "side"
    overlay = "overlay"


class FormName(str, Enum):
    """What is written of each of several sources, and what goes to standard output."""

    mp4 = "mp4"
    mkv = "mkv"
    npz = "npz"
    png = "png"
    ply = "ply"
    y4m = "y4m"
    rgb24 = "rgb24"
    gray16le = "gray16le"
    grayf32le = "grayf32le"


_SELECT, _LOOK, _MACHINE = "Which frames", "How it looks", "How it runs"
_LIVE, _BESIDES, _POINTS = "Live sources", "Besides", "Point clouds"


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
            "PNG to compute with; .png, .jpg or .ply (points) for one image; - for frames on "
            "standard output. Default: the source's name with _depth. "
            "With several sources: the folder for an output of each.",
        ),
    ] = None,
    form: Annotated[
        FormName | None,
        typer.Option(
            "--format",
            help="What is written of each of several sources: mp4 (of single images png), mkv, "
            "npz, or png or ply for a folder of 16-bit PNG or point clouds; -o is a folder with it "
            "for one source, too. Of -o -: y4m, or bare rgb24, gray16le or grayf32le.",
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "-m",
            "--model",
            help="A depthrt .onnx file or built-in name; with --target-fps several of them, or a "
            "folder; without, all built-in ones.",
        ),
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
    stabilise: Annotated[
        bool | None,
        typer.Option(
            "--stabilise/--no-stabilise",
            help="Take the flicker out of the depth. Default: in what is to be looked at yes, in "
            "depth to compute with no.",
            show_default=False,
            rich_help_panel=_LOOK,
        ),
    ] = None,
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
    batch_wait: Annotated[
        float | None,
        typer.Option(
            metavar="MS",
            help="How long frames wait for others to fill a batch; 5 where a source is live, 500 "
            "where several are recorded, else as long as it takes.",
            min=0,
            max=60_000,
            rich_help_panel=_MACHINE,
        ),
    ] = None,
    reuse: Annotated[
        bool,
        typer.Option(
            "--reuse",
            help="For cameras that stand still: while the picture does not change, give the depth "
            "before it and compute nothing.",
            rich_help_panel=_MACHINE,
        ),
    ] = False,
    reuse_threshold: Annotated[
        float | None,
        typer.Option(
            metavar="LEVELS",
            help="Grey levels of 255 by which a small part of the picture may differ; 4.",
            rich_help_panel=_MACHINE,
        ),
    ] = None,
    reuse_max_age: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Depth older than this is computed again; 2.",
            rich_help_panel=_MACHINE,
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
    jsonl: Annotated[
        Path | None,
        typer.Option(
            help="A JSON line of every frame into a file, or - for standard output.",
            rich_help_panel=_BESIDES,
        ),
    ] = None,
    preview: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST:]PORT",
            help="A page to look at while it runs; of this machine only unless a host is given.",
            rich_help_panel=_BESIDES,
        ),
    ] = None,
    fov: Annotated[
        float | None,
        typer.Option(
            metavar="DEGREES",
            help="The camera's horizontal angle of view; 60 if not given.",
            rich_help_panel=_POINTS,
        ),
    ] = None,
    intrinsics: Annotated[
        str | None,
        typer.Option(
            metavar="FX,FY,CX,CY",
            help="The camera in pixels of the source's frames.",
            rich_help_panel=_POINTS,
        ),
    ] = None,
    near: Annotated[
        float | None,
        typer.Option(
            help="Distance of what is nearest: relative depth is stretched from --near to --far "
            "(1 to 10 if not given), metric depth is cut off there.",
            rich_help_panel=_POINTS,
        ),
    ] = None,
    far: Annotated[
        float | None,
        typer.Option(help="Distance of what is farthest.", rich_help_panel=_POINTS),
    ] = None,
    edge: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Leave out points that hang between a near and a far surface, more than this "
            "share of their distance from both; 0.1 is usual.",
            rich_help_panel=_POINTS,
        ),
    ] = None,
    target_fps: Annotated[
        float | None,
        typer.Option(
            help="Hold so many frames a second of each source: step down to faster models, or to "
            "smaller sizes of one whose size is dynamic, while the machine cannot keep up.",
            rich_help_panel=_MACHINE,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as one JSON document.")
    ] = False,
) -> None:
    """Depth of videos, images, folders, cameras and network streams.

    Examples: `depthrt run demo`, `depthrt run clip.mp4 --view side`,
    `depthrt run clip.mp4 -o depth.mkv`, `depthrt run 0 --show`.

    Several at once, batched through one model, an output of each in a folder;
    one that fails does not stop the others: `depthrt run clips/*.mp4 -o out/`,
    `depthrt run 0 rtsp://camera/stream -o out/ --format mkv`.

    Onwards: `depthrt run clip.mp4 -o - | ffmpeg -i - ...`,
    `depthrt run 0 --jsonl - | jq .depth`,
    `depthrt run rtsp://camera/stream --preview 8000`,
    `depthrt run photo.jpg -o cloud.ply --fov 70 --near 1 --far 8`.

    Live sources keep the newest frame, so that depth is never late, and count
    those dropped. One that goes away is tried again. A rate is held with a
    ladder of models:
    `depthrt run 0 --target-fps 30 -m large.onnx -m small.onnx`.
    """
    from depthrt.errors import UsageError
    from depthrt.jobs.run import Job, execute
    from depthrt.jobs.run_many import FORMS, execute_many
    from depthrt.jobs.shared_outputs import Downstream, cloud_options, pipe_format
    from depthrt.sources.base import Selection
    from depthrt.sources.live.live_limits import LiveLimits
    from depthrt.sources.open import split_source
    from depthrt.temporal.frame_reuse import reuse_of

    reused = reuse_of(reuse_threshold, reuse_max_age, wanted=reuse)
    limits = LiveLimits(None if max_latency is None else max_latency / 1e3, fps, reconnect)
    sources = [part for text in source for part in split_source(text)]
    pipe = pipe_format(output, form.value if form else None, len(sources))
    points = form is FormName.ply
    clouds = points or (output is not None and output.suffix.lower() == ".ply")
    downstream = Downstream(
        pipe=pipe,
        jsonl=jsonl,
        preview=preview,
        points=points,
        cloud=cloud_options(fov, intrinsics, near, far, edge, wanted=clouds),
    )
    if as_json and downstream.takes_standard_output:
        taker = "--jsonl -" if pipe is None else "-o -"
        raise UsageError(f"--json and {taker} both write to standard output: name a file")
    job = Job(
        source=source[0],
        output=None if pipe else output,
        model=model[0] if model else None,
        selection=Selection(start, end, stride, max_frames),
        view=view.value,
        colormap=colormap,
        show=show,
        provider=provider,
        threads=threads,
        batch=batch,
        wait_s=None if batch_wait is None else batch_wait / 1e3,
        overwrite=overwrite,
        limits=limits,
        downstream=downstream,
        ladder=tuple(model or ()),
        target_fps=target_fps,
        stabilise=stabilise,
        reuse=reused,
    )
    summary: Summary | Totals
    if len(sources) == 1 and (form is None or pipe):
        summary = execute(job, _complain)
    else:
        written = next((known for known in FORMS if form and known == form.value), None)
        summary = execute_many(job, sources, written, _complain)
    said = json.dumps(summary.as_dict()) if as_json else summary.line()
    typer.echo(said, err=downstream.takes_standard_output)
    for warning in summary.warnings:
        _complain(warning)
    if summary.interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if summary.failed:
        raise typer.Exit(1)


def _complain(sentence: str) -> None:
    typer.echo(f"depthrt: {sentence}", err=True)

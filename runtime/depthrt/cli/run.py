"""`depthrt run`: depth of videos, images, cameras and streams, one or many at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from depthrt.cli.run_options import (
    MACHINE,
    AuditOption,
    CameraFormatOption,
    CameraFpsOption,
    CameraSizeOption,
    EdgeOption,
    FarOption,
    FormName,
    FovOption,
    FpsOption,
    IntrinsicsOption,
    JsonlOption,
    KeyframesOption,
    MaxLatencyOption,
    MetricsOption,
    NearOption,
    PreviewOption,
    ReconnectOption,
    ReferenceOption,
    SizeName,
    ViewName,
    cloud_options,
    pipe_format,
)
from depthrt.cli.share import parse_share
from depthrt.errors import EXIT_INTERRUPTED, UsageError

if TYPE_CHECKING:
    from depthrt.jobs.summary import Summary, Totals
    from depthrt.temporal.keyframes import Keyframes


_SELECT, _LOOK = "Which frames", "How it looks"


def run(
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Video, image, folder, glob, camera (0 or /dev/video0), rtsp:// or http:// URL, "
            "or 'demo'. Several run at once.",
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="To look at: .mp4. To compute with: .mkv (16-bit, lossless), .npz (float32) or a "
            "folder of 16-bit PNG (frames/). Of one image: .png, .jpg or .ply (points). To "
            "standard output: -. Default: the source's name with _depth. With several sources: "
            "the folder for the output of each.",
        ),
    ] = None,
    form: Annotated[
        FormName | None,
        typer.Option(
            "--format",
            help="What is written of each of several sources: mp4 (png of a single image), mkv, "
            "npz, png (a folder of 16-bit PNG) or ply (a folder of point clouds). With it, -o is a "
            "folder for one source, too. For -o -: y4m, or raw rgb24, gray16le or grayf32le.",
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "-m",
            "--model",
            help="A depthrt .onnx file or the name of a built-in model. With --target-fps: several "
            "of them, or a folder; by default all built-in ones.",
        ),
    ] = None,
    start: Annotated[
        float, typer.Option(help="Begin at this time in seconds.", rich_help_panel=_SELECT)
    ] = 0.0,
    end: Annotated[
        float | None, typer.Option(help="End before this time in seconds.", rich_help_panel=_SELECT)
    ] = None,
    stride: Annotated[int, typer.Option(help="Every n-th frame.", rich_help_panel=_SELECT)] = 1,
    max_frames: Annotated[
        int | None, typer.Option(help="Take this many frames at most.", rich_help_panel=_SELECT)
    ] = None,
    video_stream: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Take this video stream of a file, counted from 0. Default: the one marked as the "
            "default, then the largest. Sound is that of the first sound track in any case.",
            rich_help_panel=_SELECT,
        ),
    ] = None,
    source_fps: Annotated[
        float | None,
        typer.Option(
            help="Frame rate of sources that state none: images, .mjpeg, .h264. Default: 25.",
            rich_help_panel=_SELECT,
        ),
    ] = None,
    size: Annotated[
        SizeName,
        typer.Option(
            help="Size of depth maps in .mkv, .npz, folders of PNG and raw depth: the network's, "
            "as computed, or the source's, resized bilinearly.",
        ),
    ] = SizeName.network,
    view: Annotated[
        ViewName,
        typer.Option(
            help="Depth; picture beside depth; or depth over it.",
            rich_help_panel=_LOOK,
        ),
    ] = ViewName.depth,
    colormap: Annotated[
        str,
        typer.Option(help="inferno, magma, plasma, viridis, turbo, ...", rich_help_panel=_LOOK),
    ] = "inferno",
    stabilise: Annotated[
        bool | None,
        typer.Option(
            "--stabilise/--no-stabilise",
            help="Take the flicker out of the depth. Default: yes if depth is only looked at, no "
            "if it is written to compute with.",
            show_default=False,
            rich_help_panel=_LOOK,
        ),
    ] = None,
    show: Annotated[
        bool,
        typer.Option("--show", help="Show it in a window (q ends).", rich_help_panel=_LOOK),
    ] = False,
    provider: Annotated[
        str,
        typer.Option(help="auto, cpu, cuda, tensorrt, openvino, ...", rich_help_panel=MACHINE),
    ] = "auto",
    threads: Annotated[
        int | None,
        typer.Option(help="Threads of the network.", min=1, rich_help_panel=MACHINE),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            help="Frames per inference; 1, or what `depthrt tune` chose.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    batch_wait: Annotated[
        float | None,
        typer.Option(
            metavar="MS",
            help="How long frames wait for others to fill a batch. Default: 5 with a live source, "
            "500 with several recordings, else without limit.",
            min=0,
            max=60_000,
            rich_help_panel=MACHINE,
        ),
    ] = None,
    reuse: Annotated[
        bool,
        typer.Option(
            "--reuse",
            help="For cameras that do not move: while the picture does not change, reuse the last "
            "depth and compute nothing.",
            rich_help_panel=MACHINE,
        ),
    ] = False,
    reuse_threshold: Annotated[
        float | None,
        typer.Option(
            metavar="LEVELS",
            help="Grey levels, of 255, by which a small part of the picture may differ; 4.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    reuse_max_age: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Compute depth again once it is this old; 2.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    keyframes: KeyframesOption = None,
    audit: AuditOption = None,
    fps: FpsOption = None,
    max_latency: MaxLatencyOption = None,
    reconnect: ReconnectOption = 60.0,
    camera_size: CameraSizeOption = None,
    camera_fps: CameraFpsOption = None,
    camera_format: CameraFormatOption = None,
    jsonl: JsonlOption = None,
    preview: PreviewOption = None,
    metrics: MetricsOption = None,
    reference: ReferenceOption = None,
    fov: FovOption = None,
    intrinsics: IntrinsicsOption = None,
    near: NearOption = None,
    far: FarOption = None,
    edge: EdgeOption = None,
    target_fps: Annotated[
        float | None,
        typer.Option(
            help="Hold this many frames a second of each source: while the machine cannot keep up, "
            "change to faster models, or to smaller sizes of a model whose size is dynamic.",
            rich_help_panel=MACHINE,
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

    Several at once, batched through one model, with an output of each in a folder;
    one that fails does not stop the others: `depthrt run clips/*.mp4 -o out/`.

    To other programs: `depthrt run clip.mp4 -o - | ffmpeg -i - ...`,
    `depthrt run 0 --jsonl - | jq .depth`, `depthrt run rtsp://camera/stream --preview 8000`,
    `depthrt run photo.jpg -o cloud.ply --fov 70 --near 1 --far 8`.

    Of a live source the newest frame is kept, so that depth is never late; frames that are dropped
    are counted. A source that goes away is tried again. Several models hold a rate:
    `depthrt run 0 --target-fps 30 -m large.onnx -m small.onnx`.
    """
    from depthrt.jobs.monitoring import Metrics
    from depthrt.jobs.outputs import FORMS
    from depthrt.jobs.run import Job, execute, execute_many
    from depthrt.jobs.shared_outputs import SharedOutputs
    from depthrt.sinks.open import Output
    from depthrt.sources.base import Selection
    from depthrt.sources.live.live_limits import LiveLimits
    from depthrt.sources.open import check_camera_options, split_source
    from depthrt.sources.read_options import CameraFormat, Reading
    from depthrt.temporal.frame_reuse import reuse_of

    sources = [part for text in source for part in split_source(text)]
    reading = Reading(
        video_stream, source_fps, CameraFormat.of(camera_size, camera_fps, camera_format)
    )
    check_camera_options(reading, sources)
    pipe = pipe_format(output, form.value if form else None, len(sources))
    points = form is FormName.ply
    target = None if output is None or pipe else Output.of(output)
    clouds = points or (target is not None and target.suffix == ".ply")
    job = Job(
        source=source[0],
        output=target,
        model=model[0] if model else None,
        selection=Selection(start, end, stride, max_frames, reading),
        view=view.value,
        colormap=colormap,
        show=show,
        provider=provider,
        threads=threads,
        batch=batch,
        wait_s=None if batch_wait is None else batch_wait / 1e3,
        overwrite=overwrite,
        limits=LiveLimits(None if max_latency is None else max_latency / 1e3, fps, reconnect),
        pipe=pipe,
        points=points,
        size=size.value,
        cloud=cloud_options(fov, intrinsics, near, far, edge, wanted=clouds),
        shared=SharedOutputs(jsonl, preview),
        ladder=tuple(model or ()),
        target_fps=target_fps,
        stabilise=stabilise,
        reuse=reuse_of(reuse_threshold, reuse_max_age, wanted=reuse),
        keyframes=_keyframes(keyframes, audit),
        metrics=Metrics(metrics, reference),
    )
    if as_json and job.takes_standard_output:
        taker = "--jsonl -" if pipe is None else "-o -"
        raise UsageError(f"--json and {taker} both write to standard output: name a file")
    summary: Summary | Totals
    if len(sources) == 1 and (form is None or pipe):
        summary = execute(job, _complain)
    else:
        written = next((known for known in FORMS if form and known == form.value), None)
        summary = execute_many(job, sources, written, _complain)
    said = json.dumps(summary.as_dict()) if as_json else summary.line()
    typer.echo(said, err=job.takes_standard_output)
    for warning in summary.warnings:
        _complain(warning)
    if summary.interrupted or summary.failed:
        raise typer.Exit(EXIT_INTERRUPTED if summary.interrupted else 1)


def _keyframes(budget: str | None, audit: str | None) -> Keyframes | None:
    from depthrt.temporal.keyframes import AUDIT, Keyframes

    if budget is None:
        if audit is not None:
            raise UsageError("--audit looks at frames between keyframes: give --keyframes, too")
        return None
    share = parse_share(budget, "--keyframes")
    return Keyframes(share, AUDIT if audit is None else parse_share(audit, "--audit"))


def _complain(sentence: str) -> None:
    typer.echo(f"depthrt: {sentence}", err=True)

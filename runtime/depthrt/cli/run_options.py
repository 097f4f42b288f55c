"""Options of `depthrt run`, and what they mean together."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from depthrt.errors import UsageError

if TYPE_CHECKING:
    from depthrt.render.point_cloud import CloudOptions
    from depthrt.sinks.pipe import PipeFormat


_LIVE, _MORE, _POINTS = "Live sources", "More outputs", "Point clouds"
MACHINE = "How it runs"

FpsOption: TypeAlias = Annotated[
    float | None,
    typer.Option(help="Take this many frames a second of each at most.", rich_help_panel=_LIVE),
]
MaxLatencyOption: TypeAlias = Annotated[
    float | None,
    typer.Option(
        metavar="MS",
        help="Drop frames that are older than this.",
        rich_help_panel=_LIVE,
    ),
]
ReconnectOption: TypeAlias = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        help="How long a source that goes away is tried again; inf is for ever.",
        rich_help_panel=_LIVE,
    ),
]
CameraSizeOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="WxH",
        help="Ask cameras for pictures of this size, as 1280x720.",
        rich_help_panel=_LIVE,
    ),
]
CameraFpsOption: TypeAlias = Annotated[
    float | None,
    typer.Option(help="Ask cameras for this many frames a second.", rich_help_panel=_LIVE),
]
CameraFormatOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="FOURCC",
        help="Ask cameras for this pixel format. MJPG often allows more frames a second.",
        rich_help_panel=_LIVE,
    ),
]
JsonlOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="Write a JSON line for every frame to this file; - is standard output.",
        rich_help_panel=_MORE,
    ),
]
PreviewOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="[HOST:]PORT",
        help="Serve a web page that shows the run; without a host to this machine only.",
        rich_help_panel=_MORE,
    ),
]
MetricsOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="[HOST:]PORT",
        help="Serve metrics for Prometheus, among them whether pictures or depth drift; without a "
        "host to this machine only.",
        rich_help_panel=_MORE,
    ),
]
ReferenceOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="With --metrics: judge drift against what this JSON file keeps of each stream, and "
        "add what is learned of others in their first 10 minutes.",
        rich_help_panel=_MORE,
    ),
]
FovOption: TypeAlias = Annotated[
    float | None,
    typer.Option(
        metavar="DEGREES",
        help="The horizontal angle of view of the camera. Default: the network's own, else 60.",
        rich_help_panel=_POINTS,
    ),
]
IntrinsicsOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="FX,FY,CX,CY",
        help="Focal lengths and optical centre in pixels of the source's frames.",
        rich_help_panel=_POINTS,
    ),
]
NearOption: TypeAlias = Annotated[
    float | None,
    typer.Option(
        help="Distance of the nearest point. Relative depth is stretched from --near to --far "
        "(default: 1 to 10); metric depth is cut off there.",
        rich_help_panel=_POINTS,
    ),
]
FarOption: TypeAlias = Annotated[
    float | None,
    typer.Option(help="Distance of the farthest point.", rich_help_panel=_POINTS),
]
EdgeOption: TypeAlias = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Leave out points that hang between a near and a far surface: those that are "
        "farther from both than this share of their distance. 0.1 is usual.",
        rich_help_panel=_POINTS,
    ),
]


class ViewName(str, Enum):
    """What a picture shows."""

    depth = "depth"
    side = "side"
    overlay = "overlay"


class SizeName(str, Enum):
    """The size of depth maps that are written."""

    network = "network"
    source = "source"


class FormName(str, Enum):
    """What is written of each of several sources, or to standard output."""

    mp4 = "mp4"
    mkv = "mkv"
    npz = "npz"
    png = "png"
    ply = "ply"
    y4m = "y4m"
    rgb24 = "rgb24"
    gray16le = "gray16le"
    grayf32le = "grayf32le"


def pipe_format(output: str | None, form: str | None, sources: int) -> PipeFormat | None:
    """The format of frames on standard output; None if they are written elsewhere.

    Args:
        output: of ``-o``.
        form: of ``--format``.
        sources: how many there are.

    Raises:
        UsageError: the format is not for this output, or there are several sources.
    """
    from depthrt.sinks.pipe import PIPE_FORMATS

    piped = next((known for known in PIPE_FORMATS if known == form), None)
    if output != "-":
        if piped is not None:
            raise UsageError(f"--format {form} is for standard output: give -o -, too")
        return None
    if form is not None and piped is None:
        *most, last = PIPE_FORMATS
        raise UsageError(f"--format {form} is for files: -o - takes {', '.join(most)} or {last}")
    if sources > 1:
        raise UsageError(f"-o - takes the frames of one source, not of {sources}")
    return piped or "y4m"


def cloud_options(
    fov_deg: float | None,
    intrinsics: str | None,
    near: float | None,
    far: float | None,
    edge: float | None,
    *,
    wanted: bool,
) -> CloudOptions:
    """How point clouds are computed.

    Args:
        fov_deg: of ``--fov``.
        intrinsics: of ``--intrinsics``.
        near: of ``--near``.
        far: of ``--far``.
        edge: of ``--edge``.
        wanted: point clouds are written.

    Raises:
        UsageError: options contradict one another, or there are some and no points are wanted.
    """
    from depthrt.render.camera import Intrinsics
    from depthrt.render.point_cloud import CloudOptions

    if (near is None) != (far is None):
        raise UsageError("--near and --far go together: give both")
    span = None if near is None or far is None else (near, far)
    camera = None if intrinsics is None else Intrinsics.parse(intrinsics)
    options = CloudOptions(fov_deg, camera, span, edge)
    if not wanted and not options.is_default:
        raise UsageError(
            "--fov, --intrinsics, --near, --far and --edge are for point clouds: write .ply, or "
            "--format ply"
        )
    return options


KeyframesOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE",
        help="Run the network on some frames, and carry depth over to the others by optical flow. "
        "SHARE is the mean error allowed, of the depth's spread: 2%, say.",
        rich_help_panel=MACHINE,
    ),
]
AuditOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE",
        help="With --keyframes, share of the other frames that the network sees as well, to say "
        "how large the error is; 2%.",
        rich_help_panel=MACHINE,
    ),
]

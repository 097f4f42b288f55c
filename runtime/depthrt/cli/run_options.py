"""What the options of `depthrt run` mean together."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from depthrt.errors import UsageError

if TYPE_CHECKING:
    from depthrt.render.point_cloud import CloudOptions
    from depthrt.sinks.pipe import PipeFormat


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

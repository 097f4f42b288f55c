"""Opening an output by its extension, and refusing one that cannot be written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from depthrt.errors import TargetError, UsageError
from depthrt.files.atomic_write import real_target
from depthrt.files.folder_index import own_entries
from depthrt.render.point_cloud import CloudOptions
from depthrt.render.views import View
from depthrt.sinks.base import Sink, check_target
from depthrt.sinks.depth.npz import NpzSink
from depthrt.sinks.depth.png_folder import PngFolderSink
from depthrt.sinks.frame_folder import FOLDERS
from depthrt.sinks.image import ImageSink
from depthrt.sinks.ply import PlyFolderSink, PlySink
from depthrt.sinks.video.mkv import MkvSink
from depthrt.sinks.video.mp4 import Mp4Sink
from depthrt.sources.base import SourceInfo
from depthrt.spec import ModelSpec

_PICTURES = (".png", ".jpg", ".jpeg")
_POINTS = ".ply"
_FORMS = (
    ".mp4 (H.264), .mkv (16-bit FFV1), .npz (float32), .png, .jpg or .ply (one image), a folder, "
    "or - (standard output)"
)


def check_output(target: Path, *, overwrite: bool, sources: Sequence[Path] = ()) -> None:
    """Refuse an output that cannot be written, before any work is done.

    Raises:
        TargetError: it exists, is one of ``sources``, or cannot be written.
        UsageError: depthrt does not write files with this extension.
    """
    if not target.name or target.name == "..":
        raise UsageError(f"{target} is no name for an output: -o takes {_FORMS}")
    if target.suffix.lower() not in (".mp4", ".mkv", ".npz", _POINTS, "", *_PICTURES):
        raise UsageError(f"cannot write {target.suffix} files: -o takes {_FORMS}")
    try:
        overwrite = _is_empty_folder(target, real_target(target)) or overwrite
    except TargetError:
        raise
    except OSError as error:  # a folder that may not be read, a name that is too long
        raise TargetError(f"{str(target)[:200]} cannot be used ({error.strerror})") from error
    check_target(target, overwrite=overwrite, sources=sources, folder=not target.suffix)


def _is_empty_folder(target: Path, real: Path) -> bool:
    """Whether the target is an existing empty folder, which may always be replaced."""
    if not real.is_dir():
        if not target.suffix and real.exists():
            raise TargetError(f"{target} is a file, but a name without an ending means a folder")
        return False
    if target.suffix:
        raise TargetError(f"{target} is a folder: choose another output")
    return not own_entries(target, FOLDERS)


def open_sink(
    target: Path,
    info: SourceInfo,
    spec: ModelSpec,
    view: View,
    colormap: str,
    cloud: CloudOptions | None = None,
    *,
    points: bool = False,
    overwrite: bool = False,
) -> Sink:
    """The sink of an output by its extension; a name without one is a folder of PNG files.

    Args:
        target: the file or folder to write.
        info: of the source.
        spec: of the model.
        view: what pictures show.
        colormap: the colours of depth in pictures.
        cloud: how points are computed.
        points: a folder holds point clouds, not PNG.
        overwrite: an existing target may be replaced.

    Raises:
        TargetError: the target is a folder that depthrt has not written.
        UsageError: the target holds one frame, and the source has several.
    """
    suffix = target.suffix.lower()
    if suffix == ".mp4":
        return Mp4Sink(target, info, view, colormap, overwrite=overwrite)
    if suffix == ".mkv":
        return MkvSink(target, info, spec, overwrite=overwrite)
    if suffix == ".npz":
        return NpzSink(target, spec, overwrite=overwrite)
    if suffix == _POINTS:
        _check_single(target, info, "cloud", "a folder with --format ply")
        return PlySink(target, cloud or CloudOptions(), overwrite=overwrite)
    if suffix in _PICTURES:
        _check_single(target, info, "picture", ".mp4, .mkv, .npz or a folder")
        return ImageSink(target, view, colormap, overwrite=overwrite)
    if points:
        return PlyFolderSink(target, cloud or CloudOptions(), overwrite=overwrite)
    return PngFolderSink(target, spec, overwrite=overwrite)


def _check_single(target: Path, info: SourceInfo, what: str, others: str) -> None:
    if info.frame_count is not None and info.frame_count > 1:
        raise UsageError(
            f"{target.name} holds one {what}, but {info.name} has {info.frame_count} frames: "
            f"write {others}, or take --max-frames 1"
        )

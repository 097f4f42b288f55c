"""Where depth goes: videos to look at, raw depth to compute with, pictures, a window."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from depthrt.cloud import CloudOptions
from depthrt.depth_codes import INDEX_FILE
from depthrt.errors import TargetError, UsageError
from depthrt.sinks.base import Sink, check_target, partial_name
from depthrt.sinks.mp4 import Mp4Sink
from depthrt.sinks.pictures import ImageSink, WindowSink
from depthrt.sinks.ply import POINTS_FILE, PlyFolderSink, PlySink
from depthrt.sinks.raw import MkvSink, NpzSink, PngFolderSink
from depthrt.sources.base import SourceInfo
from depthrt.spec import ModelSpec
from depthrt.views import View

__all__ = ["Sink", "WindowSink", "check_output", "open_sink"]

_PICTURES = (".png", ".jpg", ".jpeg")
_POINTS = ".ply"
_FORMS = (
    ".mp4 (H.264), .mkv (16-bit FFV1), .npz (float32), .png, .jpg or .ply (one image), a folder, "
    "or - (standard output)"
)


def check_output(target: Path, *, overwrite: bool, sources: Sequence[Path] = ()) -> None:
    """Refuse an output that cannot be written, before any work is done.

    Raises:
        TargetError: it exists, is one of the ``sources``, or cannot be written.
        UsageError: an extension that depthrt does not write.
    """
    if not target.name or target.name == "..":
        raise UsageError(f"{target} is no name for an output: -o takes {_FORMS}")
    if target.suffix.lower() not in (".mp4", ".mkv", ".npz", _POINTS, "", *_PICTURES):
        raise UsageError(f"cannot write {target.suffix} files: -o takes {_FORMS}")
    try:
        if not target.suffix and target.is_symlink():
            target = target.resolve()
        overwrite = _check_form(target) or overwrite
    except TargetError:
        raise
    except OSError as error:  # a folder that may not be read, a name longer than names can be
        raise TargetError(f"{str(target)[:200]} cannot be used ({error.strerror})") from error
    check_target(target, overwrite=overwrite, sources=sources, folder=not target.suffix)


def _check_form(target: Path) -> bool:
    """Whether what stands in the target's place is an empty folder, which may be replaced."""
    if not target.is_dir():
        if not target.suffix and target.exists():
            raise TargetError(f"{target} is a file, but a name without an ending means a folder")
        return False
    if target.suffix:
        raise TargetError(f"{target} is a folder: choose another output")
    names = {entry.name for entry in target.iterdir()} - {partial_name(target).name}
    if not names:
        return True
    others = sorted(names - _written_before(target))
    if others:
        raise TargetError(f"the folder {target} holds other files ({others[0]}): choose a new one")
    return False


def _written_before(folder: Path) -> set[str]:
    """The names of the files that an earlier run left in a folder."""
    names: set[str] = set()
    for index in (INDEX_FILE, POINTS_FILE):
        try:
            frames = json.loads((folder / index).read_text())["frames"]
            names |= {index, *(str(frame["file"]) for frame in frames)}
        except (OSError, ValueError, KeyError, TypeError):
            continue  # no index, or none of ours
    return names


def open_sink(
    target: Path,
    info: SourceInfo,
    spec: ModelSpec,
    view: View,
    colormap: str,
    cloud: CloudOptions | None = None,
    *,
    points: bool = False,
) -> Sink:
    """The sink for an output by its extension; a name without one is a folder of PNG files.

    Args:
        target: where it goes.
        info: what is known of the source.
        spec: what is known of the model.
        view: what pictures show.
        colormap: how they show it.
        cloud: how points are made.
        points: a folder holds point clouds, not PNG.

    Raises:
        UsageError: one picture for a source of several frames.
    """
    suffix = target.suffix.lower()
    if suffix == ".mp4":
        return Mp4Sink(target, info, view, colormap)
    if suffix == ".mkv":
        return MkvSink(target, info, spec)
    if suffix == ".npz":
        return NpzSink(target, info, spec)
    if suffix == _POINTS:
        _check_single(target, info, "cloud", "a folder with --format ply")
        return PlySink(target, cloud or CloudOptions())
    if suffix in _PICTURES:
        _check_single(target, info, "picture", ".mp4, .mkv, .npz or a folder")
        return ImageSink(target, view, colormap)
    if points:
        return PlyFolderSink(target, cloud or CloudOptions())
    return PngFolderSink(target, info, spec)


def _check_single(target: Path, info: SourceInfo, what: str, others: str) -> None:
    if info.frame_count is not None and info.frame_count > 1:
        raise UsageError(
            f"{target.name} holds one {what}, but {info.name} has {info.frame_count} frames: "
            f"write {others}, or take --max-frames 1"
        )

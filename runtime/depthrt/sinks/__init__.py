"""Where depth goes: videos to look at, raw depth to compute with, pictures, a window."""

from __future__ import annotations

from pathlib import Path

from depthrt.errors import TargetError, UsageError
from depthrt.sinks.base import Sink, check_target
from depthrt.sinks.mp4 import Mp4Sink
from depthrt.sinks.pictures import ImageSink, WindowSink
from depthrt.sinks.raw import INDEX_FILE, MkvSink, NpzSink, PngFolderSink
from depthrt.sources.base import SourceInfo
from depthrt.spec import ModelSpec
from depthrt.views import View

__all__ = ["Sink", "WindowSink", "check_output", "open_sink"]

_PICTURES = (".png", ".jpg", ".jpeg")
_FORMS = ".mp4 (H.264), .mkv (16-bit FFV1), .npz (float32), .png or .jpg (one image), or a folder"


def check_output(target: Path, *, overwrite: bool, source: Path | None) -> None:
    """Refuse an output that cannot be written, before any work is done.

    Raises:
        TargetError: it exists, is the source, or cannot be written.
        UsageError: an extension that depthrt does not write.
    """
    if target.suffix.lower() not in (".mp4", ".mkv", ".npz", "", *_PICTURES):
        raise UsageError(f"cannot write {target.suffix} files: -o takes {_FORMS}")
    if target.is_dir():
        if target.suffix:
            raise TargetError(f"{target} is a folder: choose another output")
        if not any(target.iterdir()):
            overwrite = True
        elif not (target / INDEX_FILE).is_file():
            raise TargetError(f"the folder {target} holds other files: choose a new one")
    check_target(target, overwrite=overwrite, source=source)


def open_sink(target: Path, info: SourceInfo, spec: ModelSpec, view: View, colormap: str) -> Sink:
    """The sink for an output by its extension; a name without one is a folder of PNG files."""
    suffix = target.suffix.lower()
    if suffix == ".mp4":
        return Mp4Sink(target, info, view, colormap)
    if suffix == ".mkv":
        return MkvSink(target, info, spec)
    if suffix == ".npz":
        return NpzSink(target, info, spec)
    if suffix in _PICTURES:
        return ImageSink(target, view, colormap)
    return PngFolderSink(target, info, spec)

"""Opening an output by its extension, and refusing one that cannot be written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from depthrt.errors import TargetError, UsageError
from depthrt.files.atomic_write import real_target
from depthrt.files.folder_index import own_entries
from depthrt.render.point_cloud import CloudOptions
from depthrt.render.views import View
from depthrt.sinks.base import Sink, check_target
from depthrt.sinks.depth.codes import MapSize
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
_FILES = (".mp4", ".mkv", ".npz", _POINTS, *_PICTURES)
_LONGEST_SIDE_PX = {".mp4": 16384, ".jpg": 65500, ".jpeg": 65500, ".png": 1_000_000}
"""What x264, libjpeg and libpng hold."""
_MAP_BYTES = 1 << 31  # of a frame of 16 bits, with FFmpeg's margins
_FORMS = (
    ".mp4 (H.264), .mkv (16-bit FFV1), .npz (float32), .png, .jpg or .ply (one image), a folder, "
    "or - (standard output)"
)


@dataclass(frozen=True)
class Output:
    """Where depth goes: a file, whose extension says what is written, or a folder.

    - ``path``: of the file or folder;
    - ``is_folder``: it holds a file for each frame, whatever its name is.
    """

    path: Path
    is_folder: bool

    @classmethod
    def of(cls, name: str | Path) -> Output:
        """The output of a name.

        A folder is what ends with a slash, has no extension, or is a folder already, unless its
        extension is that of a file to write.
        """
        path = Path(name)
        slashed = str(name).endswith(("/", "/.", os.sep))
        known = path.suffix.lower() in _FILES
        is_there = os.path.isdir(path)  # noqa: PTH112 (no error where the name is too long)
        return cls(path, slashed or not path.suffix or (is_there and not known))

    @property
    def suffix(self) -> str:
        """The extension in small letters; a folder has none."""
        return "" if self.is_folder else self.path.suffix.lower()

    def __str__(self) -> str:
        return str(self.path)


def check_output(output: Output | Path, *, overwrite: bool, sources: Sequence[Path] = ()) -> None:
    """Refuse an output that cannot be written, before any work is done.

    Raises:
        TargetError: it exists, is one of ``sources``, or cannot be written.
        UsageError: depthrt does not write files with this extension.
    """
    output = output if isinstance(output, Output) else Output.of(output)
    target = output.path
    if not target.name or target.name == "..":
        raise UsageError(f"{target} is no name for an output: -o takes {_FORMS}")
    if output.suffix not in ("", *_FILES):
        raise UsageError(
            f"cannot write {target.suffix} files: -o takes {_FORMS}; for a folder of this name end "
            f"it with a slash: {target}/"
        )
    try:
        overwrite = _is_empty_folder(output, real_target(target)) or overwrite
    except TargetError:
        raise
    except OSError as error:  # a folder that may not be read, a name that is too long
        raise TargetError(f"{str(target)[:200]} cannot be used ({error.strerror})") from error
    check_target(target, overwrite=overwrite, sources=sources, folder=output.is_folder)


def _is_empty_folder(output: Output, real: Path) -> bool:
    """Whether the target is an existing empty folder, which may always be replaced."""
    target = output.path
    if not real.is_dir():
        if output.is_folder and real.exists():
            slash = "with a slash at its end" if target.suffix else "without an ending"
            raise TargetError(f"{target} is a file, but a name {slash} means a folder")
        return False
    if not output.is_folder:
        raise TargetError(
            f"{target} is a folder: choose another output, or {target}/ for a file of each frame"
        )
    return not own_entries(target, FOLDERS)


def check_size(output: Output, info: SourceInfo, view: View, size: MapSize = "network") -> None:
    """Refuse pictures that a file cannot hold, before any work is done.

    Args:
        output: the file or folder.
        info: of the source.
        view: what pictures show.
        size: of depth maps.

    Raises:
        UsageError: they are too wide or too high.
    """
    is_picture = output.suffix in _LONGEST_SIDE_PX
    if not is_picture and size == "network":
        return
    height, width = (side + side % 2 for side in info.size) if is_picture else info.size
    wide = 2 * width if is_picture and view == "side" else width
    what = f"{output.path.name} cannot hold a picture of {wide}x{height}"
    limit = _LONGEST_SIDE_PX.get(output.suffix or ".png")
    if limit is not None and max(wide, height) > limit:
        if max(width, height) <= limit:
            advice = "take --view depth, which is half as wide"
        elif output.is_folder:
            advice = "take --size network"
        elif output.suffix in (".jpg", ".jpeg") and max(wide, height) <= _LONGEST_SIDE_PX[".png"]:
            advice = "try .png"
        else:
            advice = (
                "write depth at the network's size, as .mkv or .npz, or make the source smaller"
            )
        raise UsageError(f"{what}: {advice} (at most {limit} pixels a side)")
    if output.suffix == ".mkv" and (2 * wide + 1024) * (height + 128) >= _MAP_BYTES:
        raise UsageError(f"{what}: take --size network, or write .npz")


def open_sink(
    output: Output | Path,
    info: SourceInfo,
    spec: ModelSpec,
    view: View,
    colormap: str,
    cloud: CloudOptions | None = None,
    *,
    points: bool = False,
    size: MapSize = "network",
    overwrite: bool = False,
) -> Sink:
    """The sink of an output by its extension.

    Args:
        output: the file or folder to write.
        info: of the source.
        spec: of the model.
        view: what pictures show.
        colormap: the colours of depth in pictures.
        cloud: how points are computed.
        points: a folder holds point clouds, not 16-bit PNG.
        size: of depth maps.
        overwrite: an existing target may be replaced.

    Raises:
        TargetError: the target is a folder that depthrt has not written.
        UsageError: the target holds one frame, and the source has several.
    """
    output = output if isinstance(output, Output) else Output.of(output)
    target, suffix = output.path, output.suffix
    if suffix == ".mp4":
        return Mp4Sink(target, info, view, colormap, overwrite=overwrite)
    if suffix == ".mkv":
        return MkvSink(target, info, spec, size, overwrite=overwrite)
    if suffix == ".npz":
        return NpzSink(target, spec, size, overwrite=overwrite)
    if suffix == _POINTS:
        _check_single(target, info, "cloud", "a folder with --format ply")
        return PlySink(target, cloud or CloudOptions(), overwrite=overwrite)
    if suffix in _PICTURES:
        _check_single(target, info, "picture", ".mp4, .mkv, .npz or a folder")
        return ImageSink(target, view, colormap, overwrite=overwrite)
    if points:
        return PlyFolderSink(target, cloud or CloudOptions(), overwrite=overwrite)
    return PngFolderSink(target, spec, size, overwrite=overwrite)


def _check_single(target: Path, info: SourceInfo, what: str, others: str) -> None:
    if info.frame_count is not None and info.frame_count > 1:
        raise UsageError(
            f"{target.name} holds one {what}, but {info.name} has {info.frame_count} frames: "
            f"write {others}, or take --max-frames 1"
        )

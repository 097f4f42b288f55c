"""Where frames come from: videos, images, cameras, streams."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from depthrt.errors import DepthrtError, SourceError, UsageError
from depthrt.model.catalogue.registry import DEMO_CLIP
from depthrt.sources.base import RECONNECT_S, Losses, Selection, Source, SourceInfo
from depthrt.sources.blocking_calls import call
from depthrt.sources.containers import BROKEN, reason_of
from depthrt.sources.decode.heif import HEIF_SUFFIXES, can_decode_heif
from depthrt.sources.display_name import is_there, shown_names, shown_source
from depthrt.sources.images import (
    IMAGE_SUFFIXES,
    AnimationSource,
    ImagesSource,
    is_animation,
    natural_order,
    read_image,
)
from depthrt.sources.read_options import CameraFormat, Reading
from depthrt.sources.video import VideoSource

__all__ = [
    "IMAGE_SUFFIXES",
    "Losses",
    "Selection",
    "Source",
    "SourceInfo",
    "close_source",
    "is_glob",
    "open_source",
    "read_image",
    "shown_names",
    "shown_source",
    "split_source",
]

_LIVE_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtp", "srt", "udp", "tcp")
_VIDEO_SUFFIXES = {".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".ts", ".webm"}
_URL_SCHEMES = (*_LIVE_SCHEMES, "http", "https")
_MOST_SHOWN = 200  # characters of a name that is longer than names can be


def open_source(
    source: str | Path | int,
    selection: Selection | None = None,
    *,
    reconnect_s: float = RECONNECT_S,
) -> Source:
    """Open a video, image, directory of images, glob, camera, URL, or ``demo``.

    A camera is its number or its device file (``/dev/video0``, ``/dev/v4l/by-id/...``). Cameras and
    network streams are live; what comes over HTTP is so unless it says how long it is.

    Args:
        source: what is to be opened.
        selection: which of its frames.
        reconnect_s: how long a live source that goes away is tried again, in seconds.

    Raises:
        SourceError: nothing there, or nothing that can be read as pictures.
        UsageError: several videos where one was expected.
    """
    text = str(source)
    try:
        return _open(text, selection or Selection(), reconnect_s)
    except DepthrtError:
        raise
    except BROKEN as error:
        reason = reason_of(error, text)
    # Not chained: the error of a library may hold the password of a URL.
    raise SourceError(f"{_shown(text)} cannot be read ({reason})")


def _open(text: str, selection: Selection, reconnect_s: float) -> Source:
    if is_camera(text):
        from depthrt.sources.live.camera import open_camera

        return call(lambda: open_camera(text, selection, reconnect_s=reconnect_s), close_source)
    scheme = text.split("://", 1)[0].lower() if "://" in text else ""
    if scheme in _URL_SCHEMES:
        return call(lambda: _url(text, selection, reconnect_s), close_source)
    if scheme and not Path(text).exists():
        scheme = scheme.rpartition(":")[2]  # what stands before may be a user's
        raise SourceError(f"{_shown(text)}: {scheme} is none of {', '.join(_URL_SCHEMES)}")
    if text == "demo" and not Path(text).exists():
        return VideoSource(str(DEMO_CLIP), selection)
    path = Path(text)
    if path.is_dir():
        shown = [found for found in path.iterdir() if not found.name.startswith(".")]
        return _images(sorted(shown, key=natural_order), text, selection)
    if path.exists():
        return _file(path, selection)
    if glob.has_magic(text):
        # Sorted twice: files of one name in several folders come in the folders' order, not the
        # file system's.
        found = sorted(glob.glob(text, recursive=True))  # noqa: PTH207  (Path.glob: no absolute)
        return _matches(sorted(map(Path, found), key=natural_order), text, selection)
    raise SourceError(f"no file, directory, camera or URL {_shown(text)!r}")


def _shown(text: str) -> str:
    return shown_source(text)[:_MOST_SHOWN]


def is_camera(text: str) -> bool:
    """Whether a source is a camera's number or its device file, as /dev/video0."""
    return text.isdecimal() or (
        "://" not in text and is_there(text) and Path(text).is_char_device()
    )


def check_camera_options(reading: Reading, sources: Sequence[str]) -> None:
    """Refuse what only cameras are asked for if there is none.

    Raises:
        UsageError: there is none.
    """
    if reading.camera != CameraFormat() and not any(map(is_camera, sources)):
        raise UsageError(
            "--camera-size, --camera-fps and --camera-format are for cameras, and there is none"
        )


def close_source(source: Source) -> None:
    """Close a source whose frames nobody wants."""
    source.close()


def _url(url: str, selection: Selection, reconnect_s: float) -> Source:
    from depthrt.sources.live.network_stream import Stream, open_network

    stream = Stream(url, selection.reading.video_stream)
    if stream.has_an_end and url.split("://", 1)[0].lower() not in _LIVE_SCHEMES:
        stream.close()
        return VideoSource(url, selection)
    return open_network(url, selection, reconnect_s=reconnect_s, stream=stream)


def split_source(text: str) -> list[str]:
    """The sources that an argument of the command line names: each video of a glob, or itself."""
    if not is_glob(text):
        return [text]
    found = sorted(glob.glob(text, recursive=True))  # noqa: PTH207
    videos = [name for name in found if Path(name).suffix.lower() not in IMAGE_SUFFIXES]
    if len(videos) < 2 or len(videos) < len(found):
        return [text]  # pictures of one sequence, one video, or nothing
    return [str(path) for path in sorted(map(Path, videos), key=natural_order)]


def is_glob(text: str) -> bool:
    """Whether a source stands for the files that match it; an existing name is a name first."""
    return "://" not in text and glob.has_magic(text) and not is_there(text)


def _file(path: Path, selection: Selection) -> Source:
    if not path.is_file():
        raise SourceError(f"{path} is no regular file")
    if path.stat().st_size == 0:
        raise SourceError(f"{path} is empty")
    if path.suffix.lower() == ".onnx":
        raise SourceError(f"{path} is a model: give it with -m")
    if path.suffix.lower() in HEIF_SUFFIXES and not can_decode_heif():
        return VideoSource(str(path), selection)  # FFmpeg reads some
    if path.suffix.lower() in IMAGE_SUFFIXES and is_animation(path):
        animated_png = path.suffix.lower() != ".webp"  # which FFmpeg reads as a video
        return (
            VideoSource(str(path), selection) if animated_png else AnimationSource(path, selection)
        )
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImagesSource([path], selection)
    return VideoSource(str(path), selection)


def _matches(matches: list[Path], text: str, selection: Selection) -> Source:
    if not matches:
        raise SourceError(f"no file matches {text}")
    if len(matches) == 1:
        return _file(matches[0], selection)
    images = [path for path in matches if path.suffix.lower() in IMAGE_SUFFIXES]
    videos = [path for path in matches if path.suffix.lower() in _VIDEO_SUFFIXES]
    if images and videos:
        raise UsageError(
            f"{text} matches images and videos ({images[0].name}, {videos[0].name}): give one kind"
        )
    if not images:
        raise UsageError(f"{text} matches {len(matches)} files: give one video at a time")
    return _images(images, text, selection)


def _images(paths: list[Path], text: str, selection: Selection) -> Source:
    images = [path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        inside = _folder_with_images(paths)
        hint = f": give {inside}, which does" if inside else ""
        raise SourceError(f"{text} holds no image file ({', '.join(sorted(IMAGE_SUFFIXES))}){hint}")
    return ImagesSource(images, selection, name=text)


def _folder_with_images(paths: Sequence[Path]) -> Path | None:
    """Of several things in a folder the one that holds images, ``rgb`` before all others."""
    folders = sorted((path for path in paths if path.is_dir()), key=lambda path: path.name != "rgb")
    for folder in folders:
        with suppress(OSError):  # one that may not be read
            if any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir()):
                return folder
    return None

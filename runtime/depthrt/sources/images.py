"""Images as frames: of files, and in memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.errors import SourceError
from depthrt.frame import Frame, Image, RgbImage, image_size
from depthrt.model.preprocess import check_image
from depthrt.sources.base import Closable, Losses, Selection, SourceInfo, select
from depthrt.sources.decode.heif import HEIF_SUFFIXES, decode_heif, is_heif
from depthrt.sources.read_options import UNUSED_FPS, UNUSED_VIDEO_STREAM
from depthrt.system.process_settings import Borrowed, Undo

IMAGE_SUFFIXES = {
    ".bmp", ".jpeg", ".jpg", ".jp2", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp",
    *HEIF_SUFFIXES,
}  # fmt: skip
# libpng would print of a torn file. Some programs leave bytes of their own behind the end.
_HEAD_BYTES = 1 << 16
_SILENT = 0  # OpenCV's log level
_ANIMATED = (".png", ".webp")
_WEBP_ANIMATED = 2  # in the flags of an extended WebP file
_PNG_BEGIN, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
IMAGES_PER_S = Fraction(25)  # images of a folder have no times: they are played at this rate


def read_image(path: str | Path) -> RgbImage:
    """Read an image file as uint8 RGB (H,W,3), turned as it says; alpha is dropped.

    Raises:
        SourceError: missing, unreadable or no image.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise SourceError(f"{path} is no regular file")
        content = np.fromfile(path, np.uint8)
    except (OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"{path} cannot be read ({reason})") from error
    return decode_image(content, str(path))


def decode_image(content: NDArray[np.uint8], name: str) -> RgbImage:
    """Decode the bytes of an image file as uint8 RGB (H,W,3), as :func:`read_image` does.

    Args:
        content: all of the file.
        name: of the image, for messages.

    Raises:
        SourceError: it is empty, torn or no image.
    """
    if is_heif(content[:_HEAD_BYTES].tobytes()):
        return decode_heif(content.tobytes(), name)
    if content[:8].tobytes() == _PNG_BEGIN and _PNG_END not in content.tobytes():
        raise SourceError(f"{name} is no image that can be decoded (it is cut off)")
    try:
        with quiet_opencv():
            image = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    except (cv2.error, MemoryError) as error:
        reason = getattr(error, "err", None) or error
        raise SourceError(f"{name} cannot be decoded as an image ({reason})") from error
    if image is None:
        what = "is empty" if content.size == 0 else "is no image that can be decoded"
        raise SourceError(f"{name} {what}")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def opencv_logging() -> Any:
    """What has OpenCV's getLogLevel and setLogLevel: OpenCV 5 has moved them."""
    return cv2 if hasattr(cv2, "getLogLevel") else cv2.utils.logging


def _silence_opencv() -> Undo:
    logging = opencv_logging()
    level = logging.getLogLevel()
    logging.setLogLevel(_SILENT)

    def undo() -> None:
        if logging.getLogLevel() == _SILENT:  # nobody chose another meanwhile
            logging.setLogLevel(level)

    return undo


quiet_opencv = Borrowed(_silence_opencv)
"""Keep OpenCV's own lines off the terminal for a block: an error says it in one sentence."""


def natural_order(path: Path) -> list[tuple[int, int | str]]:
    """Sort key by which frame_2 comes before frame_10."""
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(p)) if p.isdecimal() else (1, p) for p in parts if p]


def is_animation(path: Path) -> bool:
    """Whether a PNG or WebP file holds several pictures that are shown one after the other."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(_PNG_BEGIN):
        return b"acTL" in head.partition(b"IDAT")[0]
    return head[8:16] == b"WEBPVP8X" and bool(head[20:21] and head[20] & _WEBP_ANIMATED)


def _pages(path: Path) -> int:
    """How many pages a TIFF file has; 1 of any other."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return 1
    with quiet_opencv():
        return int(cv2.imcount(str(path)))


def _left_out_note(paths: Sequence[Path]) -> str:
    """What is left out of files that hold several pictures, in words; else empty."""
    if len(paths) == 1:
        pages = _pages(paths[0])
        return f"its first page of {pages} is taken" if pages > 1 else ""
    several = [path.name for path in paths if _holds_several(path)]
    if not several:
        return ""
    if len(several) == 1:
        return f"{several[0]} holds several pictures: its first is taken"
    return f"{len(several)} files hold several pictures ({several[0]}, ...): their first is taken"


def _holds_several(path: Path) -> bool:
    """Whether it is an animation or has pages; False of what cannot be read, said in its turn."""
    try:
        animated = path.suffix.lower() in _ANIMATED and path.is_file() and is_animation(path)
        return animated or (path.is_file() and _pages(path) > 1)
    except OSError:
        return False


def _rate_of(selection: Selection, *, single: bool) -> tuple[Fraction, str]:
    """The rate at which images are played in 1/s, and a note where it is assumed."""
    fps = selection.reading.fps
    if fps is not None:
        return Fraction(str(fps)), ""
    note = f"images have no times: {float(IMAGES_PER_S):g}/s is assumed; --source-fps sets it"
    return IMAGES_PER_S, "" if single else note


class ImagesSource:
    """The images of a list of files, one frame each; a single image is a list of one."""

    def __init__(self, paths: Sequence[Path], selection: Selection, name: str = "") -> None:
        self._paths = list(paths)
        self.losses = Losses()
        first = self._first_readable()
        single = len(self._paths) == 1
        self._rate, note = _rate_of(selection, single=single)
        numbered = selection.reading.video_stream is not None
        notes = [note, _left_out_note(self._paths), UNUSED_VIDEO_STREAM if numbered else ""]
        self.info = SourceInfo(
            name=name or self._paths[0].name,
            size=(first.shape[0], first.shape[1]),
            rate=None if single else self._rate,
            time_base_s=1 / self._rate,
            frame_count=selection.count(len(self._paths), self._rate),
            selection=selection,
            blocks=False,
            owns_pictures=True,
            notes=tuple(filter(None, notes)),
        )

    def _first_readable(self) -> RgbImage:
        """The first image that can be read; when there is none, what is wrong with the first."""
        failure: SourceError | None = None
        for path in self._paths:
            try:
                return read_image(path)
            except SourceError as error:
                failure = failure or error
        raise failure or SourceError("there is no image")

    def stop(self) -> None:
        """Do nothing: reading an image file never blocks for long."""

    def close(self) -> None:
        """No file stays open."""

    def frames(self) -> Iterator[Frame]:
        """The selected images, in order; one that cannot be read is counted and left out."""
        yield from select(self._read(), self.info.selection)

    def _read(self) -> Iterator[Frame]:
        for index, path in enumerate(self._paths):
            try:
                image = read_image(path)
            except SourceError as error:
                self.losses.missing_frames += 1
                self.losses.first_missing = self.losses.first_missing or str(error)
                continue
            yield Frame(image, index, index / self._rate, path.name)


class AnimationSource:
    """The pictures of an animated WebP file, which FFmpeg does not decode, with their times.

    Raises:
        SourceError: it cannot be decoded.
    """

    def __init__(self, path: Path, selection: Selection) -> None:
        self.losses = Losses()
        with quiet_opencv():
            found, animation = cv2.imreadanimation(str(path))
        if not found or not animation.frames:
            raise SourceError(f"{path} is no animation that can be decoded")
        self._pictures = [np.asarray(picture, np.uint8) for picture in animation.frames]
        shown_s = [Fraction(max(1, int(ms)), 1000) for ms in animation.durations]
        self._times_s = list(accumulate(shown_s, initial=Fraction(0)))
        self._shown_s = shown_s
        rate = len(self._pictures) / self._times_s[-1]
        note = "" if selection.reading.fps is None else UNUSED_FPS
        self.info = SourceInfo(
            name=path.name,
            size=image_size(self._pictures[0]),
            rate=rate,
            time_base_s=Fraction(1, 1000),
            frame_count=selection.count(len(self._pictures), rate),
            path=path,
            selection=selection,
            blocks=False,
            owns_pictures=True,
            notes=(note,) if note else (),
        )

    def stop(self) -> None:
        """Do nothing: the file has been read."""

    def close(self) -> None:
        """No file stays open."""

    def frames(self) -> Iterator[Frame]:
        """The selected pictures, in order."""
        yield from select(self._read(), self.info.selection)

    def _read(self) -> Iterator[Frame]:
        for index, picture in enumerate(self._pictures):
            image = np.asarray(cv2.cvtColor(picture[..., :3], cv2.COLOR_BGR2RGB), np.uint8)
            time_s, shown_s = self._times_s[index], self._shown_s[index]
            yield Frame(image, index, time_s, self.info.name, shown_s)


class ArraysSource:
    """An iterable of uint8 RGB images (H,W,3), one frame each, read as it is consumed.

    The iterable may fill one buffer again and again: the pipeline copies the pictures it keeps.

    Raises:
        SourceError: there is no first image.
        UsageError: the first image is no uint8 RGB array.
    """

    def __init__(self, images: Iterable[Image], selection: Selection) -> None:
        self.losses = Losses()
        self._iterator = iterator = iter(images)
        try:
            first = next(iterator)
        except StopIteration as error:
            raise SourceError("the iterable holds no image") from error
        check_image(first)
        self._images = chain([first], iterator)
        self._rate, _ = _rate_of(selection, single=True)
        self.info = SourceInfo(
            name="images",
            size=image_size(first),
            rate=self._rate,
            time_base_s=1 / self._rate,
            selection=selection,
        )

    def stop(self) -> None:
        """Do nothing: a user's iterable cannot be interrupted."""

    def close(self) -> None:
        """Close the iterable, where it can be closed and none of its images is wanted."""
        if isinstance(self._iterator, Closable):
            self._iterator.close()

    def frames(self) -> Iterator[Frame]:
        """The selected images, in order."""
        try:
            yield from select(self._numbered(), self.info.selection)
        finally:
            self.close()

    def _numbered(self) -> Iterator[Frame]:
        for index, image in enumerate(self._images):
            check_image(image)
            yield Frame(image, index, index / self._rate, self.info.name)

"""The pictures of a request: checked at once, decoded later, in a thread."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from depthrt.frame import RgbImage, image_size
from depthrt.model.preprocess import prepare
from depthrt.sources.decode.heif import can_decode_heif, heif_size, is_heif
from depthrt.sources.images import decode_image
from depthrt.spec import InputSpec
from depthrt_serving.http.problems import ProblemError
from depthrt_serving.pictures.multipart import parts_of
from depthrt_serving.pictures.picture_size import FORMATS, picture_size
from depthrt_serving.settings import too_long

RAW = "application/octet-stream"
MULTIPART = "multipart/form-data"


@dataclass(eq=False)
class SentPicture:
    """A picture as it was sent.

    - ``name``: for messages;
    - ``content``: a JPEG, PNG, WebP or HEIC file, or RGB bytes;
    - ``raw_size``: height and width of RGB bytes; None of a file;
    - ``size``: height and width of the decoded picture, once it was prepared;
    - ``decode_s``, ``prepare_s``: how long both took.
    """

    name: str
    content: bytes
    raw_size: tuple[int, int] | None = None
    size: tuple[int, int] = field(default=(0, 0))
    decode_s: float = 0.0
    prepare_s: float = 0.0

    def decode(self) -> RgbImage:
        """The picture as uint8 RGB (H,W,3), turned as its EXIF entry says.

        Raises:
            SourceError: it cannot be decoded.
        """
        if self.raw_size is not None:
            return np.frombuffer(self.content, np.uint8).reshape(*self.raw_size, 3)
        return decode_image(np.frombuffer(self.content, np.uint8), self.name)

    def prepare(self, spec: InputSpec) -> NDArray[np.uint8]:
        """The network's input, uint8 RGB 3,h,w; the size is known after that.

        Raises:
            SourceError: it cannot be decoded.
            ProblemError: it is so long that the network would run at many times its size (413).
        """
        start_s = time.perf_counter()
        image = self.decode()
        decoded_s = time.perf_counter()
        self.decode_s, self.size = decoded_s - start_s, image_size(image)
        reason = too_long(self.name, self.size, spec)
        if reason:
            raise ProblemError(413, reason)
        prepared = prepare(image, spec)
        self.prepare_s = time.perf_counter() - decoded_s
        return prepared


def sent_pictures(
    kind: str, body: bytes, query: Mapping[str, str], most_pixels: int
) -> tuple[list[SentPicture], bool]:
    """The pictures of a request's body, and whether it was of the kind that holds several.

    Args:
        kind: its Content-Type.
        body: all of it.
        query: ``width`` and ``height`` of raw RGB bytes.
        most_pixels: of one picture.

    Raises:
        ProblemError: no pictures that are taken, or too large.
    """
    media = kind.partition(";")[0].strip().lower()
    if media == MULTIPART:
        found = [
            checked_file(f"picture {number}", content, most_pixels)
            for number, content in enumerate(parts_of(kind, body), 1)
        ]
        if not found:
            raise ProblemError(400, "the multipart body holds no picture")
        return found, True
    if "width" in query or "height" in query:
        if media != RAW:
            raise ProblemError(400, f"width and height are of raw RGB, which comes as {RAW}")
        return [_raw(body, query, most_pixels)], False
    return [checked_file("the picture", body, most_pixels)], False


def checked_file(name: str, content: bytes, most_pixels: int) -> SentPicture:
    """A picture, if the head of its file says that it may be decoded.

    Raises:
        ProblemError: it is empty (400), of another format (415), or has too many pixels (413).
        SourceError: a HEIC file is broken.
    """
    if not content:
        raise ProblemError(400, f"{name} is empty: send {FORMATS}")
    size = _heif_size(name, content) if is_heif(content) else picture_size(content)
    if size is None:
        raise ProblemError(415, f"{name} is no {FORMATS}")
    _check_pixels(name, size, most_pixels)
    return SentPicture(name, content)


def _heif_size(name: str, content: bytes) -> tuple[int, int]:
    if not can_decode_heif():
        raise ProblemError(
            415, f"{name} is HEIC, which needs the package pi-heif beside the server: send JPEG"
        )
    return heif_size(content, name)


def _raw(body: bytes, query: Mapping[str, str], most_pixels: int) -> SentPicture:
    size = [query.get(side, "") for side in ("height", "width")]
    if not all(text.isdecimal() and 0 < len(text) < 8 and int(text) for text in size):
        raise ProblemError(400, "raw RGB needs its size: ?width=W&height=H")
    height, width = int(size[0]), int(size[1])
    _check_pixels("the picture", (height, width), most_pixels)
    if len(body) != height * width * 3:
        raise ProblemError(
            400, f"{width}x{height} RGB is {height * width * 3} bytes, and {len(body)} came"
        )
    return SentPicture("the picture", body, (height, width))


def _check_pixels(name: str, size: tuple[int, int], most_pixels: int) -> None:
    height, width = size
    if not height or not width:
        raise ProblemError(422, f"{name} has no pixels")
    if height * width > most_pixels:
        raise ProblemError(
            413,
            f"{name} has {width}x{height} pixels, more than the {most_pixels / 1e6:g} million that "
            "are taken: send it smaller",
        )

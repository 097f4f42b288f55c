"""HEIC photos, as phones write them, where the package pi-heif or pillow-heif is installed.

FFmpeg reads those of one picture alone; libheif, which is behind both packages, puts tiles together
and turns them as the file says (irot, imir).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib import import_module, util
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import SourceError
from depthrt.sources.decode.heif_parts import decoded_pixels
from depthrt.system.installation import install_command

T = TypeVar("T")
HEIF_SUFFIXES = {".heic", ".heif"}
_DECODERS = ("pi_heif", "pillow_heif")
_BRANDS = {b"heic", b"heix", b"heim", b"heis"}  # ISO 23008-12, B.4: still pictures in HEVC
_BRANDS_BYTES = 128
# What the parts of a photo may have more pixels than it has: tiles stand over its edges.
_MOST_RATIO, _TILES_PIXELS = 2, 4 << 20


def is_heif(content: bytes) -> bool:
    """Whether a file, by its beginning, is a photo in HEVC."""
    if content[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(content[:4], "big"), _BRANDS_BYTES)
    return any(content[at : at + 4] in _BRANDS for at in range(8, end, 4))


def can_decode_heif() -> bool:
    """Whether one of the packages is installed."""
    return any(util.find_spec(name) is not None for name in _DECODERS)


def heif_size(content: bytes, name: str) -> tuple[int, int]:
    """Height and width of a photo as it is shown, without decoding it.

    A photo whose parts are much larger than that is refused, by what they state and, as it decodes
    them, by libheif.

    Raises:
        SourceError: it is broken, or no package that decodes it is installed.
    """
    width, height = _read(content, name, lambda photo: photo.size)
    return int(height), int(width)


def decode_heif(content: bytes, name: str) -> NDArray[np.uint8]:
    """The main picture of a photo as uint8 RGB (H,W,3), as it is shown; alpha is dropped.

    Raises:
        SourceError: as :func:`heif_size`.
    """
    pixels = np.asarray(_read(content, name, np.asarray))
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    return np.ascontiguousarray(pixels[..., :3], np.uint8)


def _read(content: bytes, name: str, read: Callable[[Any], T]) -> T:
    module = next(filter(None, map(_module, _DECODERS)), None)
    if module is None:
        raise SourceError(
            f"{name} is a HEIC photo, which needs the package pi-heif: {install_command('heic')}"
        )
    try:
        photo = module.open_heif(io.BytesIO(content), convert_hdr_to_8bit=True)
        width, height = photo.size
        if decoded_pixels(content) > _MOST_RATIO * width * height + _TILES_PIXELS:
            raise ValueError("its parts are larger than it says")
        return read(photo)
    except Exception as error:  # of broken files they raise whatever comes, IndexError say
        reason = " ".join(str(error).split())
        raise SourceError(f"{name} is no HEIC photo that can be decoded ({reason})") from error


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        return None

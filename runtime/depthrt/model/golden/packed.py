"""Arrays of whole numbers as short text, unpacked to the same bits by every version of everything.

What is packed are the differences of neighbours, down the columns and along the rows, by zlib. No
picture codec takes part: decoders of JPEG round in different ways, and those of PNG print what they
do not like.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_VALUES = 1 << 21
"""Of one array: a text of a kilobyte may hold a megabyte of zeros."""


def pack(values: NDArray[Any]) -> str:
    """The text of an array of uint8 or uint16 with two or three axes (H,W or H,W,C)."""
    apart = np.ascontiguousarray(values)
    for axis in (0, 1):
        first = np.zeros_like(apart.take([0], axis))
        apart = np.diff(apart, axis=axis, prepend=first)  # wraps around, as the sums do
    planes = np.moveaxis(apart, -1, 0) if apart.ndim == 3 else apart
    little = planes.astype(planes.dtype.newbyteorder("<"))
    return base64.b64encode(zlib.compress(little.tobytes(), 6)).decode("ascii")


def unpack(text: str, shape: tuple[int, ...], kind: type[np.uint8 | np.uint16]) -> NDArray[Any]:
    """The array that :func:`pack` made a text of.

    Raises:
        ValueError: the text is none of ours, or not of that shape.
    """
    count = int(np.prod(shape))
    if not 0 < count <= MOST_VALUES:
        raise ValueError(f"{count} values, not 1 to {MOST_VALUES}")
    little = np.dtype(kind).newbyteorder("<")
    size = count * little.itemsize
    try:
        unpacking = zlib.decompressobj()
        raw = unpacking.decompress(base64.b64decode(text, validate=True), size + 1)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise ValueError(f"it cannot be unpacked: {error}") from None
    if len(raw) != size or not unpacking.eof:
        raise ValueError(f"it does not hold {size} bytes")
    planes = np.frombuffer(raw, little).astype(kind)
    apart: NDArray[Any] = (
        np.moveaxis(planes.reshape(shape[2], *shape[:2]), 0, -1)
        if len(shape) == 3
        else planes.reshape(shape)
    )
    for axis in (1, 0):
        apart = np.cumsum(apart, axis=axis, dtype=kind)
    return np.ascontiguousarray(apart)


def halved(values: NDArray[np.int16]) -> NDArray[np.float64]:
    """Maps h,w,c at half the size, rounded up: the mean of each four, or of what there is."""
    even = np.pad(values, [(0, n % 2) for n in values.shape[:2]] + [(0, 0)], mode="edge")
    height, width, count = even.shape
    return np.asarray(even.reshape(height // 2, 2, width // 2, 2, count).mean((1, 3)))


def enlarge(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Maps (h,w,c) at another size, corner to corner, bilinear, in whole numbers.

    Its own size gives it back as it is.
    """
    wide = picture.astype(np.int32)
    for axis, length in enumerate(size):
        last = max(length - 1, 1)
        steps = np.arange(length) * (picture.shape[axis] - 1)
        low, part = steps // last, (steps % last).astype(np.int32)
        high = np.minimum(low + 1, picture.shape[axis] - 1)
        part = part.reshape([-1 if a == axis else 1 for a in range(3)])
        wide = wide.take(low, axis) * (last - part) + wide.take(high, axis) * part
        wide = (wide + last // 2) // last
    return wide.astype(np.uint8)

"""Where each pixel of a picture was in another one, found on thumbnails.

Flow is that of OpenCV's DIS (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV
2016), whose result at thumbnail size takes a tenth of a millisecond.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]

SHORT_SIDE = 96  # of the thumbnails, in pixels, about
COLOUR_TOLERANCE = 12.0  # grey levels of 255 at which trust has fallen to 1/e
MIN_SIDE = 16  # of a thumbnail that optical flow can work with
_FLOW_WIDTH = 96  # of a thumbnail, where OpenCV's DIS goes over to finer steps


class OpticalFlow:
    """Follows pixels between two thumbnails; one object for each thread."""

    def __init__(self) -> None:
        self._flow: Any = None

    def follow(self, other: NDArray[np.uint8], grey: NDArray[np.uint8]) -> tuple[Map, Map]:
        """Where each pixel of ``grey`` is in ``other``, both h,w of :func:`grey_thumbnail`.

        Returns:
            h,w,2, column and row; and h,w, how much the colours agree, 0..1.
        """
        if self._flow is None:
            self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        flow = self._flow.calc(grey, other, None)
        height, width = grey.shape
        place = np.asarray(cv2.add(flow, grid(height, width), dst=flow), np.float32)
        unlike = cv2.absdiff(grey, carry(other, place))
        unlike = cv2.blur(unlike, (3, 3), dst=unlike)
        # Half a pixel of slack: flow is no better than that at the border.
        inside = cv2.inRange(place, (-0.5, -0.5), (width - 0.5, height - 0.5))
        unlike = cv2.bitwise_or(unlike, cv2.bitwise_not(inside, dst=inside), dst=unlike)
        return place, np.asarray(cv2.LUT(unlike, _trust_table()), np.float32)


def likeness(other: NDArray[np.uint8], grey: NDArray[np.uint8]) -> Map:
    """How much the colours of two thumbnails agree where they are, 0..1."""
    unlike = cv2.absdiff(grey, other)
    return np.asarray(cv2.LUT(cv2.blur(unlike, (3, 3), dst=unlike), _trust_table()), np.float32)


def carry(earlier: NDArray[Any], place: Map) -> NDArray[Any]:
    """A map whose pixels lay at ``place`` (h,w,2: column, row) in another one, bilinear."""
    how, border = cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
    moved = cv2.remap(earlier, place, None, how, borderMode=border)  # type: ignore[call-overload]
    return np.asarray(moved)


def thumbnail_size(shape: tuple[int, ...], short_side: int = SHORT_SIDE) -> tuple[int, int]:
    """Width and height of the thumbnails of a map (h,w); never larger than the map.

    Smaller by a whole number, which OpenCV's averages need to be fast; and no narrower than
    optical flow that starts at a quarter of the size: below that it takes ten times as long.
    """
    height, width = shape
    factor = max(1, min(round(min(height, width) / short_side), width // _FLOW_WIDTH))
    return max(1, width // factor), max(1, height // factor)


def grey_thumbnail(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Grey of prepared pixels (uint8 RGB 3,h,w) at a width and height."""
    red, green, blue = (averaged(plane, size) for plane in pixels)
    rest = cv2.addWeighted(red, 0.7, blue, 0.3, 0)
    return np.asarray(cv2.addWeighted(green, 0.6, rest, 0.4, 0), np.uint8)


def averaged(plane: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """A plane (h,w) at the width and height of a thumbnail, each pixel the mean of a block.

    Rows and columns that fill no block are left out: less than a pixel of the thumbnail. Blocks
    that are no whole number of pixels would take 25 times as long.
    """
    (height, width), (columns, rows) = plane.shape, size
    block = height // rows
    if block == width // columns and max(height - rows * block, width - columns * block) < block:
        plane = plane[: rows * block, : columns * block]
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA))


@cache
def grid(height: int, width: int) -> Map:
    """h,w,2: column and row of every pixel; not to be written to."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.dstack([columns, rows])


@cache
def _trust_table() -> Map:
    levels = np.arange(256, dtype=np.float32)
    trust = np.exp(-((levels / COLOUR_TOLERANCE) ** 2))
    # Denormal numbers further down the bell would make every sum after it ten times slower.
    return np.asarray(np.where(trust < 1e-3, 0, trust), np.float32)

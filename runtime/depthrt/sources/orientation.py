"""Pictures as they are to be seen: turned and mirrored as the file's display matrix says."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.frame import Image, YuvImage

if TYPE_CHECKING:
    from collections.abc import Callable

    from av.video.frame import VideoFrame

_UPRIGHT = (1, 0, 0, 1)
_HORIZONTALLY, _VERTICALLY = 1, 0  # cv2.flip's codes


class Orientation:
    """How the frames of one stream are to be shown.

    Side data are read where the rotation changes alone: PyAV ties a frame whose side data were
    looked at into a reference cycle, and its memory stays until Python's garbage collector comes
    by, which took 450 MB at 1080p.
    """

    def __init__(self) -> None:
        self._rotation: int | None = None
        self._matrix = _UPRIGHT

    def of(self, decoded: VideoFrame) -> tuple[int, int, int, int]:
        """The display matrix of the next frame, as :func:`display_matrix` gives it."""
        rotation = decoded.rotation
        if rotation != self._rotation:
            self._rotation, self._matrix = rotation, display_matrix(decoded)
        return self._matrix


def display_matrix(decoded: VideoFrame) -> tuple[int, int, int, int]:
    """Signs (a, b, c, d) by which a picture is to be shown: x' = a x + c y, y' = b x + d y.

    The 16.16 matrix of ISO 14496-12, as FFmpeg hands it on; phones turn with it, front cameras
    mirror. One that is no quarter turn or mirror is taken for none.
    """
    side_data: Any = decoded.side_data.get("DISPLAYMATRIX")
    if side_data is None:
        return _UPRIGHT
    numbers = struct.unpack("=9i", memoryview(side_data))
    a, b, c, d = (
        (number > 0) - (number < 0) for number in (numbers[0], numbers[1], numbers[3], numbers[4])
    )
    quarter_turns = (a and d and not (b or c)) or (b and c and not (a or d))
    return (a, b, c, d) if quarter_turns else _UPRIGHT


def upright(image: Image, matrix: tuple[int, int, int, int]) -> Image:
    """An image as its display matrix wants it shown."""
    if matrix == _UPRIGHT:
        return image
    if isinstance(image, YuvImage):
        y, u, v = (_shown(plane, matrix) for plane in (image.y, image.u, image.v))
        return YuvImage(y, u, v, image.matrix, image.full_range)
    return _shown(image, matrix)


def _shown(plane: NDArray[np.uint8], matrix: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    a, b, c, d = matrix
    steps: list[Callable[[NDArray[np.uint8]], object]] = []
    if not a:
        steps.append(cv2.transpose)
    if a < 0 or c < 0:
        steps.append(lambda plane: cv2.flip(plane, _HORIZONTALLY))
    if b < 0 or d < 0:
        steps.append(lambda plane: cv2.flip(plane, _VERTICALLY))
    for step in steps:
        plane = np.asarray(step(plane), np.uint8)
    return plane

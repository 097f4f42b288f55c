"""Pictures as they are to be seen: turned and mirrored as the file's display matrix says."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import cv2

from depthrt.frame import Image, Plane, YuvImage

if TYPE_CHECKING:
    from collections.abc import Callable

    from av.video.frame import VideoFrame

_MATRIX = struct.Struct("=9i")
UPRIGHT = (1, 0, 0, 1)
# By PyAV's rotation, in degrees counter-clockwise; it says nothing of mirrors.
_TURNS = {90: (0, -1, 1, 0), -90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), -180: (-1, 0, 0, -1)}
_HORIZONTALLY, _VERTICALLY = 1, 0  # cv2.flip's codes


def display_matrix(decoded: VideoFrame) -> tuple[int, int, int, int]:
    """Signs (a, b, c, d) by which a picture is to be shown: x' = a x + c y, y' = b x + d y.

    The 16.16 matrix of ISO 14496-12, as FFmpeg hands it on; phones turn with it, front cameras
    mirror. FFmpeg's decoders make one of a JPEG picture's EXIF orientation, too. One that is no
    quarter turn or mirror is taken for none.
    """
    data = next(_matrices(decoded), b"")
    if len(data) != _MATRIX.size:
        return _TURNS.get(decoded.rotation, UPRIGHT)
    numbers = _MATRIX.unpack(data)
    a, b, c, d = (
        (number > 0) - (number < 0) for number in (numbers[0], numbers[1], numbers[3], numbers[4])
    )
    quarter_turns = (a and d and not (b or c)) or (b and c and not (a or d))
    return (a, b, c, d) if quarter_turns else UPRIGHT


def _matrices(decoded: VideoFrame) -> Iterator[bytes]:
    """The display matrices among a frame's side data, as far as PyAV can read these.

    The container is built here: ``decoded.side_data`` raises where FFmpeg knows a kind that PyAV
    has no name for, such as EXIF, and is lost whole; here what comes before that kind is kept. It
    would also tie the frame into a reference cycle, and its memory would stay until Python's
    garbage collector comes by, which took 450 MB at 1080p.
    """
    from av.sidedata.sidedata import SideDataContainer, Type

    container = SideDataContainer.__new__(SideDataContainer)
    with suppress(Exception):  # a kind without a name
        SideDataContainer.__init__(container, decoded)  # type: ignore[call-arg]  # no stub
    for item in container:
        with suppress(Exception):
            if item.type == Type.DISPLAYMATRIX:
                yield bytes(item)


def upright(image: Image, matrix: tuple[int, int, int, int]) -> Image:
    """An image as its display matrix wants it shown."""
    if isinstance(image, YuvImage):
        return image.with_planes(lambda plane: _shown(plane, matrix))
    return _shown(image, matrix)


def _shown(plane: Plane, matrix: tuple[int, int, int, int]) -> Plane:
    a, b, c, d = matrix
    steps: list[Callable[[Plane], Plane]] = []
    if not a:
        steps.append(cv2.transpose)
    if a < 0 or c < 0:
        steps.append(lambda plane: cv2.flip(plane, _HORIZONTALLY))
    if b < 0 or d < 0:
        steps.append(lambda plane: cv2.flip(plane, _VERTICALLY))
    for step in steps:
        plane = step(plane)
    return plane

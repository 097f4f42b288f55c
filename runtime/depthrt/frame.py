"""Frames: one picture with its place in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fractions import Fraction

    from av.video.frame import VideoFrame

Matrix = Literal["bt601", "bt709", "bt2020"]

RgbImage: TypeAlias = NDArray[np.uint8]  # H,W,3, RGB, 0..255


@dataclass(frozen=True, eq=False)
class YuvImage:
    """8-bit planar YUV as a video decoder gives it; the planes are views of its memory: read only.

    ``y`` is H,W; ``u`` and ``v`` have the same size or are subsampled.
    """

    y: NDArray[np.uint8]
    u: NDArray[np.uint8]
    v: NDArray[np.uint8]
    matrix: Matrix = "bt709"
    full_range: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.y.shape[0], self.y.shape[1]


Image: TypeAlias = RgbImage | YuvImage


def view_planes(decoded: VideoFrame, matrix: Matrix, full_range: bool) -> YuvImage:
    """A decoder's frame of 8-bit planar YUV as an image that shares its memory."""
    y, u, v = (plane_view(decoded, number) for number in range(3))
    return YuvImage(y, u, v, matrix, full_range)


def plane_view(decoded: VideoFrame, index: int) -> NDArray[np.uint8]:
    """A plane of 8-bit samples as an array (h,w) that shares the frame's memory."""
    plane = decoded.planes[index]
    samples = np.frombuffer(memoryview(plane), np.uint8)
    return samples.reshape(-1, plane.line_size)[: plane.height, : plane.width]


def without_pixels(image: Image) -> Image:
    """An image of the same form, all zero, that takes no memory."""
    if not isinstance(image, YuvImage):
        return np.broadcast_to(np.uint8(0), image.shape)
    y, u, v = (np.broadcast_to(np.uint8(0), p.shape) for p in (image.y, image.u, image.v))
    return YuvImage(y, u, v, image.matrix, image.full_range)


def copy_image(image: Image) -> Image:
    """The same image in memory of its own."""
    if not isinstance(image, YuvImage):
        return np.array(image)
    y, u, v = (plane.copy() for plane in (image.y, image.u, image.v))
    return YuvImage(y, u, v, image.matrix, image.full_range)


def image_size(image: Image) -> tuple[int, int]:
    """Height and width of an image in pixels."""
    return image.shape[0], image.shape[1]


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a source.

    - ``image``: uint8 RGB (H,W,3) or planar YUV;
    - ``index``: its number among the frames of the source, counted from 0 before any stride;
    - ``time_s``: its exact presentation time in seconds from the source's time 0;
    - ``stream``: the name of its source;
    - ``duration_s``: how long it is shown, where the source says so;
    - ``captured_s``: when a live one was taken or arrived, on ``time.monotonic()``'s clock.
    """

    image: Image
    index: int
    time_s: Fraction
    stream: str = ""
    duration_s: Fraction | None = None
    captured_s: float | None = None

"""Frames: one picture with its place in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fractions import Fraction

    from av.video.frame import VideoFrame

Matrix = Literal["bt601", "bt709", "bt2020"]

# Luma weights of red and blue: ITU-R BT.601, BT.709 and BT.2020.
_LUMA_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}

RgbImage: TypeAlias = NDArray[np.uint8]  # H,W,3, RGB, 0..255
Plane: TypeAlias = NDArray[Any]  # h,w; 8 bits, of HDR 16


@dataclass(frozen=True, eq=False)
class YuvImage:
    """8-bit planar YUV as a video decoder gives it; the planes are views of its memory: read only.

    ``y`` is H,W; ``u`` and ``v`` have the same size or are subsampled. ``for_screens`` is False
    where the planes are not what a usual screen shows (HDR).
    """

    y: Plane
    u: Plane
    v: Plane
    matrix: Matrix = "bt709"
    full_range: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.y.shape[0], self.y.shape[1]

    for_screens: ClassVar[bool] = True

    def with_planes(self, change: Callable[[Plane], Plane]) -> YuvImage:
        """The same image with each plane changed."""
        return replace(self, y=change(self.y), u=change(self.u), v=change(self.v))

    def on_screen(self) -> YuvImage:
        """The image as a usual screen shows it: itself, unless it is HDR."""
        return self

    def rgb_of(self, planes: Sequence[Plane]) -> RgbImage:
        """Y, U and V of one size, coded as this image's, as uint8 RGB (h,w,3)."""
        import cv2

        matrix = _rgb_matrix(self.matrix, self.full_range)
        return np.asarray(cv2.transform(cv2.merge(planes), matrix), np.uint8)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """As numpy sees it: uint8 RGB (H,W,3), always made anew."""
        if copy is False:
            raise ValueError("planar YUV becomes an RGB array by a copy only")
        return np.asarray(to_rgb(self), dtype)


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
    return image.with_planes(lambda plane: np.broadcast_to(plane.dtype.type(0), plane.shape))


def copy_image(image: Image) -> Image:
    """The same image in memory of its own."""
    if not isinstance(image, YuvImage):
        return np.array(image)
    return image.with_planes(np.copy)


def image_size(image: Image) -> tuple[int, int]:
    """Height and width of an image in pixels."""
    return image.shape[0], image.shape[1]


def to_rgb(image: Image) -> RgbImage:
    """The image as uint8 RGB (H,W,3) at its own size."""
    if not isinstance(image, YuvImage):
        return image
    import cv2

    height, width = image.shape
    chroma = [cv2.resize(plane, (width, height)) for plane in (image.u, image.v)]
    return image.rgb_of((image.y, *chroma))


def rgb_matrix(matrix: Matrix, full_range: bool) -> NDArray[np.float64]:
    """The 3x4 affine map from 8-bit Y,U,V to 8-bit R,G,B (ITU-R BT.601-7, BT.709-6, BT.2020-2)."""
    return np.array(_rgb_matrix(matrix, full_range), np.float64)


@cache
def _rgb_matrix(matrix: Matrix, full_range: bool) -> NDArray[np.float64]:
    red, blue = _LUMA_WEIGHTS[matrix]
    green = 1 - red - blue
    y_scale, y_offset = (1.0, 0) if full_range else (255 / 219, 16)
    c_scale = 1.0 if full_range else 255 / 224
    from_u, from_v = 2 * (1 - blue) * c_scale, 2 * (1 - red) * c_scale
    linear = np.array(
        [
            [y_scale, 0, from_v],
            [y_scale, -blue / green * from_u, -red / green * from_v],
            [y_scale, from_u, 0],
        ]
    )
    offset = -linear @ np.array([y_offset, 128, 128])
    return np.asarray(np.hstack([linear, offset[:, None]]), np.float64)


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a source.

    - ``pixels``: as it was decoded: planar YUV, or uint8 RGB (H,W,3); :attr:`image` is RGB;
    - ``index``: its number among the frames of the source, counted from 0 before any stride;
    - ``exact_time_s``: its presentation time in seconds from the source's time 0, as an exact
      fraction; :attr:`time_s` is a float;
    - ``stream``: the name of its source;
    - ``exact_duration_s``: how long it is shown, where the source says so;
    - ``captured_s``: when a live one was taken or arrived, on ``time.monotonic()``'s clock.
    """

    pixels: Image
    index: int
    exact_time_s: Fraction
    stream: str = ""
    exact_duration_s: Fraction | None = None
    captured_s: float | None = None

    @cached_property
    def image(self) -> RgbImage:
        """The picture as uint8 RGB (H,W,3), made when first asked for; it is to be read only."""
        return to_rgb(self.pixels)

    @property
    def time_s(self) -> float:
        """Its presentation time in seconds from the source's time 0."""
        return float(self.exact_time_s)

    @property
    def duration_s(self) -> float | None:
        """How long it is shown, in seconds, where the source says so."""
        return None if self.exact_duration_s is None else float(self.exact_duration_s)

"""Drawing depth: in colours, beside its picture, or blended with it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.depth import Depth
from depthrt.errors import UsageError
from depthrt.frame import Image, Matrix, YuvImage, rgb_matrix
from depthrt.render.colormap import colour_table, yuv_table
from depthrt.spec import Kind

View = Literal["depth", "side", "overlay"]
VIEWS: tuple[View, ...] = ("depth", "side", "overlay")
_OVERLAY_SHARE = 0.6  # of the depth's colours in an overlay
_SMALLEST_RANGE = 1e-12
_GREY = 128  # where depth is not valid; few colour maps have it

Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]


@dataclass(frozen=True)
class Canvas:
    """What every drawn frame of one output has in common.

    - ``height``, ``width``: of one picture in pixels, even; a side view is twice as wide;
    - ``matrix``, ``full_range``: the source's colour coding, so that its planes can be copied.
    """

    view: View
    height: int
    width: int
    matrix: Matrix
    full_range: bool
    colormap: str

    @classmethod
    def of(cls, image: Image, view: View, colormap: str) -> Canvas:
        """The canvas for a source by one of its frames."""
        height, width = (side + side % 2 for side in image.shape[:2])
        if isinstance(image, YuvImage):
            if not image.for_screens:
                return cls(view, height, width, "bt709", False, colormap)  # as `on_screen` gives it
            return cls(view, height, width, image.matrix, image.full_range, colormap)
        return cls(view, height, width, "bt601", False, colormap)  # as OpenCV converts RGB

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a drawn frame in pixels."""
        return self.height, self.width * (2 if self.view == "side" else 1)


def nearness(
    values: NDArray[np.float32], display_range: tuple[float, float], kind: Kind
) -> NDArray[np.uint8]:
    """Depth values (h,w) as uint8: 0 at the far end of the range, 255 at the near end."""
    low, high = display_range
    gain = 255 / max(float(high) - float(low), _SMALLEST_RANGE)  # constant depth has a range of 0
    if kind == "depth":
        gain, low = -gain, high
    # One pass that rounds and saturates, where numpy needs four.
    return np.asarray(cv2.convertScaleAbs(np.maximum((values - low) * gain, 0)), np.uint8)


def colourise(
    depth: Depth, display_range: tuple[float, float], colormap: str = "inferno"
) -> NDArray[np.uint8]:
    """A depth map as an RGB picture (H,W,3) at its image's size.

    Colours are looked up at the network's size, then enlarged: 0.69 of the time of the reverse
    order at 1080p. Depth that is not valid is grey.

    Raises:
        UsageError: there is no such colour map, or the range is not finite or reversed.
    """
    table = colour_table(colormap)
    low, high = display_range
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise UsageError(f"the display range {low:g} to {high:g} is none: give low and high")
    small = table[nearness(depth.values, display_range, depth.kind)]
    if depth.valid is not None:
        small[~depth.valid] = _GREY
    height, width = depth.image_size
    return np.asarray(cv2.resize(small, (width, height)), np.uint8)


def compose(
    image: Image, depth: Depth, display_range: tuple[float, float], canvas: Canvas, out: Planes
) -> None:
    """Draw a view of a frame into the planes ``out``, YUV 4:2:0 of the canvas's size."""
    sources = _colour_planes(depth, display_range, canvas)
    if canvas.view == "depth":
        for source, target in zip(sources, out, strict=True):
            _resize_into(source, target)
        return
    picture = _planes_of(image, canvas)
    for source, seen, target in zip(sources, picture, out, strict=True):
        if canvas.view == "side":
            half = target.shape[1] // 2
            _resize_into(seen, target[:, :half])
            _resize_into(source, target[:, half:])
        else:
            _resize_into(source, target)
            small = seen
            if seen.shape != target.shape:
                small = np.empty_like(target)
                _resize_into(seen, small)
            share = _OVERLAY_SHARE
            cv2.addWeighted(target, share, small, 1 - share, 0, dst=target)


def _colour_planes(depth: Depth, display_range: tuple[float, float], canvas: Canvas) -> Planes:
    """A depth map in colours, as planar YUV 4:4:4 at the network's size."""
    table = yuv_table(canvas.colormap, canvas.matrix, canvas.full_range)
    index = nearness(depth.values, display_range, depth.kind)
    y, u, v = (np.asarray(cv2.LUT(index, row), np.uint8) for row in table)
    if depth.valid is not None:
        for plane in (y, u, v):  # 128 is grey in all of them
            plane[~depth.valid] = _GREY
    return y, u, v


def _planes_of(image: Image, canvas: Canvas) -> Planes:
    """The picture as planar YUV; RGB of odd size becomes that of the canvas."""
    height, width = canvas.height, canvas.width
    if isinstance(image, YuvImage):
        if not image.for_screens and width < image.shape[1]:  # fewer pixels to tone-map
            ratio = width / image.shape[1]
            image = image.with_planes(lambda plane: cv2.resize(plane, None, fx=ratio, fy=ratio))
        shown = image.on_screen()
        return shown.y, shown.u, shown.v
    even = image
    if image.shape[:2] != (height, width):
        even = np.asarray(cv2.resize(image, (width, height)), np.uint8)
    luma = np.asarray(cv2.cvtColor(even, cv2.COLOR_RGB2YUV_I420), np.uint8)[:height]
    # OpenCV would take the chroma of one pixel of four: thin coloured lines flicker or vanish.
    means = cv2.resize(even, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    chroma = np.asarray(cv2.transform(means, _chroma_matrix(canvas)), np.uint8)
    return luma, chroma[..., 0], chroma[..., 1]


def _chroma_matrix(canvas: Canvas) -> NDArray[np.float64]:
    """The 2x4 affine map from 8-bit R,G,B to 8-bit U,V."""
    from_yuv = rgb_matrix(canvas.matrix, canvas.full_range)
    to_yuv = np.linalg.inv(from_yuv[:, :3])
    return np.hstack([to_yuv, -to_yuv @ from_yuv[:, 3:]])[1:]


def _resize_into(source: NDArray[np.uint8], target: NDArray[np.uint8]) -> None:
    if source.shape == target.shape:
        target[:] = source
        return
    cv2.resize(source, (target.shape[1], target.shape[0]), dst=target)

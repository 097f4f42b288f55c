"""What a viewer sees: the depth, the picture beside it, or both in one; composed as planar YUV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.depth import Depth
from depthrt.frame import Image, Matrix, YuvImage
from depthrt.render.colormap import colour_planes, yuv_table

View = Literal["depth", "side", "overlay"]
VIEWS: tuple[View, ...] = ("depth", "side", "overlay")
_OVERLAY_SHARE = 0.6  # of the depth's colours in an overlay

Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]


@dataclass(frozen=True)
class Canvas:
    """The form of every composed frame of one output.

    - ``height``, ``width``: even, in pixels, of one picture (a side view is twice as wide);
    - ``matrix``, ``full_range``: colour coding, the source's own so that its planes are copied.
    """

    view: View
    height: int
    width: int
    matrix: Matrix
    full_range: bool
    colormap: str

    @classmethod
    def of(cls, image: Image, view: View, colormap: str) -> Canvas:
        """The canvas for a source whose frames are like this one."""
        height, width = (side + side % 2 for side in image.shape[:2])
        if isinstance(image, YuvImage):
            return cls(view, height, width, image.matrix, image.full_range, colormap)
        return cls(view, height, width, "bt601", False, colormap)  # as OpenCV converts RGB

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the composed frame."""
        return self.height, self.width * (2 if self.view == "side" else 1)


def compose(
    image: Image, depth: Depth, display_range: tuple[float, float], canvas: Canvas, out: Planes
) -> None:
    """Draw a frame's view into YUV 4:2:0 planes of the canvas' size."""
    table = yuv_table(canvas.colormap, canvas.matrix, canvas.full_range)
    colours = colour_planes(depth, display_range, table)
    sources = (colours.y, colours.u, colours.v)
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


def _planes_of(image: Image, canvas: Canvas) -> Planes:
    if isinstance(image, YuvImage):
        return image.y, image.u, image.v
    height, width = canvas.height, canvas.width
    even = image
    if image.shape[:2] != (height, width):
        even = np.asarray(cv2.resize(image, (width, height)), np.uint8)
    packed = np.asarray(cv2.cvtColor(even, cv2.COLOR_RGB2YUV_I420), np.uint8)
    chroma = packed[height:].reshape(2, height // 2, width // 2)
    return packed[:height], chroma[0], chroma[1]


def _resize_into(source: NDArray[np.uint8], target: NDArray[np.uint8]) -> None:
    if source.shape == target.shape:
        target[:] = source
        return
    cv2.resize(source, (target.shape[1], target.shape[0]), dst=target)

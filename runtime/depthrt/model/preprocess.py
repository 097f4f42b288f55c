"""From a frame of any size to the network's input: the only preprocessing there is.

Calibration, verification, running, evaluation and serving all call :func:`prepare` with the spec in
the model file. OpenCV is imported by the functions that need it: `DepthModel.load` loads it while
the session is made.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import UsageError
from depthrt.frame import Image, YuvImage, image_size
from depthrt.spec import InputSpec, Interpolation

PAD_VALUE = 116  # about the mean pixel of photographs, so that a border has little contrast


def network_size(size: tuple[int, int], spec: InputSpec) -> tuple[int, int]:
    """Height and width that the network runs at for an image of this height and width."""
    if spec.resize != "keep_aspect":
        return spec.height, spec.width
    ratio_height, ratio_width = spec.height / size[0], spec.width / size[1]
    # DPT's rule (Ranftl et al. 2021, as in its reference transforms): the ratio nearer to 1.
    ratio = ratio_width if abs(1 - ratio_width) < abs(1 - ratio_height) else ratio_height
    step = spec.multiple_of
    height, width = (max(step, round(side * ratio / step) * step) for side in size)
    return height, width


def content_size(size: tuple[int, int], spec: InputSpec) -> tuple[int, int]:
    """Height and width of the picture within the network's input, from the top left."""
    height, width = network_size(size, spec)
    if spec.resize != "pad":
        return height, width
    ratio = min(height / size[0], width / size[1])
    return max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio))


def prepare(
    image: Image, spec: InputSpec, out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Resize an image as the spec says and lay it out as the network wants it.

    Args:
        image: uint8 RGB (H,W,3), or planar YUV of a decoder; both give the same pixels to within
            the rounding of the colour conversion (2 of 255).
        spec: the input part of the model's spec.
        out: uint8 array 3,h,w to write into, to save an allocation.

    Returns:
        uint8 RGB, 3,h,w with h,w from :func:`network_size`.

    Raises:
        UsageError: the image is not uint8 RGB or has no pixels, or ``out`` has another form.
    """
    import cv2

    size = check_image(image)
    height, width = network_size(size, spec)
    rows, columns = content_size(size, spec)
    if out is None:
        out = np.empty((3, height, width), np.uint8)
    elif out.dtype != np.uint8 or out.shape != (3, height, width):
        raise UsageError(
            f"out is {out.dtype} {tuple(out.shape)}, the input is uint8 (3, {height}, {width})"
        )
    small = _resize_rgb(image, (columns, rows), spec.interpolation)
    if (rows, columns) != (height, width):
        out.fill(PAD_VALUE)
    cv2.split(small, [plane[:rows, :columns] for plane in out])  # written in place
    return out


def check_image(image: Image) -> tuple[int, int]:
    """Height and width of an image.

    Raises:
        UsageError: it is neither uint8 RGB (H,W,3) nor planar YUV, or has no pixels.
    """
    if isinstance(image, YuvImage):
        return image_size(image)
    if not isinstance(image, np.ndarray):
        raise UsageError(f"an image is a uint8 RGB array (H,W,3), not {type(image).__name__}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise UsageError(
            f"an image is a uint8 RGB array (H,W,3), not {image.dtype} {tuple(image.shape)}"
        )
    return image_size(image)


def _resize_rgb(
    image: Image, dsize: tuple[int, int], interpolation: Interpolation
) -> NDArray[np.uint8]:
    import cv2

    codes = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}
    code = codes[interpolation]
    if not isinstance(image, YuvImage):
        return np.asarray(cv2.resize(image, dsize, interpolation=code), np.uint8)
    # Planes are resized first: the colour conversion then touches only the network's few pixels.
    planes = [cv2.resize(p, dsize, interpolation=code) for p in (image.y, image.u, image.v)]
    return image.rgb_of(planes)

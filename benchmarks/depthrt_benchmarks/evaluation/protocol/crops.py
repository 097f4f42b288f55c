"""The parts of an image that count, as in published protocols.

Bounds are ``int()`` of the exact numbers, as in the originals. ``kitti-benchmark`` cuts picture and
truth before the network sees them; the others only mask the truth. Several are joined by ``+``:
``kitti-benchmark+garg`` is what BTS and ZoeDepth do on the Eigen split.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import SourceError, UsageError

Bounds = tuple[int, int, int, int]  # top, bottom, left, right

NO_CROP = "none"
CUT = "kitti-benchmark"
_CUT_SIZE = (352, 1216)


def nyu_eigen(height: int, width: int) -> Bounds:
    """Eigen et al. 2014 on NYUv2: rows 45:471, columns 41:601 of 480x640, scaled to other sizes."""
    if (height, width) == (480, 640):
        return 45, 471, 41, 601
    down, across = height / 480, width / 640
    return int(45 * down), int(471 * down), int(41 * across), int(601 * across)


def garg(height: int, width: int) -> Bounds:
    """Garg et al. 2016 on KITTI."""
    return (
        int(0.40810811 * height),
        int(0.99189189 * height),
        int(0.03594771 * width),
        int(0.96405229 * width),
    )


def eigen(height: int, width: int) -> Bounds:
    """Eigen et al. 2014 on KITTI."""
    return (
        int(0.3324324 * height),
        int(0.91351351 * height),
        int(0.0359477 * width),
        int(0.96405229 * width),
    )


def kitti_benchmark(height: int, width: int) -> Bounds:
    """The 352x1216 that KITTI's depth benchmark keeps: bottom, middle.

    Raises:
        SourceError: the image is smaller.
    """
    rows, columns = _CUT_SIZE
    if height < rows or width < columns:
        raise SourceError(
            f"an image of {height}x{width} cannot be cut to KITTI's {rows}x{columns}: choose "
            "another --crop"
        )
    left = int((width - columns) / 2)
    return height - rows, height, left, left + columns


MASKS: dict[str, Callable[[int, int], Bounds]] = {
    "nyu-eigen": nyu_eigen,
    "garg": garg,
    "eigen": eigen,
}


def check_crop(crop: str) -> str:
    """A crop that is known, as it was given.

    Raises:
        UsageError: it is not.
    """
    known = (NO_CROP, CUT, *MASKS)
    for name in crop.split("+"):
        if name not in known:
            raise UsageError(f"--crop {crop} is not known: choose from {', '.join(known)}")
    return crop


def cut(crop: str, array: NDArray[Any]) -> NDArray[Any]:
    """Picture (H,W,3) or truth (H,W) with ``kitti-benchmark`` cut away, if the crop says so."""
    if CUT not in crop.split("+"):
        return array
    top, bottom, left, right = kitti_benchmark(array.shape[0], array.shape[1])
    return array[top:bottom, left:right]


def corner(crop: str, height: int, width: int) -> tuple[int, int]:
    """Rows above and columns left of what :func:`cut` leaves of a height x width array."""
    if CUT not in crop.split("+"):
        return 0, 0
    top, _, left, _ = kitti_benchmark(height, width)
    return top, left


def crop_mask(crop: str, height: int, width: int) -> NDArray[np.bool_]:
    """True where pixels of the (cut) truth count, bool H,W."""
    mask = np.ones((height, width), np.bool_)
    for name in crop.split("+"):
        if name in MASKS:
            top, bottom, left, right = MASKS[name](height, width)
            inside = np.zeros_like(mask)
            inside[top:bottom, left:right] = True
            mask &= inside
    return mask

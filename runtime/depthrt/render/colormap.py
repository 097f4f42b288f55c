"""Colour maps as look-up tables; near is always the bright or warm end."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.errors import UsageError
from depthrt.frame import Matrix, rgb_matrix

COLORMAPS = {
    "inferno": cv2.COLORMAP_INFERNO,
    "magma": cv2.COLORMAP_MAGMA,
    "plasma": cv2.COLORMAP_PLASMA,
    "viridis": cv2.COLORMAP_VIRIDIS,
    "turbo": cv2.COLORMAP_TURBO,
    "cividis": cv2.COLORMAP_CIVIDIS,
    "bone": cv2.COLORMAP_BONE,
    "gray": None,
}


@cache
def colour_table(name: str) -> NDArray[np.uint8]:
    """The RGB colours (256,3) of a colour map, from far to near.

    Raises:
        UsageError: there is no such colour map.
    """
    if name not in COLORMAPS:
        raise UsageError(f"unknown colormap {name!r}: choose one of {', '.join(COLORMAPS)}")
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    code = COLORMAPS[name]
    if code is None:
        return np.repeat(ramp, 3, axis=1)
    return np.asarray(cv2.applyColorMap(ramp, code)[:, 0, ::-1], np.uint8)


@cache
def yuv_table(name: str, matrix: Matrix, full_range: bool) -> NDArray[np.uint8]:
    """The same colours as Y,U,V (3,256): a depth map goes to the encoder by look-up alone."""
    to_rgb = rgb_matrix(matrix, full_range)
    yuv = np.linalg.solve(to_rgb[:, :3], colour_table(name).T.astype(np.float64) - to_rgb[:, 3:])
    return np.clip(np.rint(yuv), 0, 255).astype(np.uint8)

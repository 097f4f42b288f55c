"""A prediction at the size of the ground truth, bilinear, by one of the two conventions in use."""

from __future__ import annotations

from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

Resize = Literal["align-corners", "half-pixel"]
RESIZES: tuple[Resize, ...] = get_args(Resize)


def resize_to(
    values: NDArray[np.float32], size: tuple[int, int], rule: Resize
) -> NDArray[np.float32]:
    """Resize a map (h,w) to a height and width.

    ``align-corners`` aligns the centres of the corner pixels (torch's
    ``interpolate(align_corners=True)``, as MiDaS, ZoeDepth and Depth-Anything evaluate);
    ``half-pixel`` aligns the borders of the pictures (OpenCV, and torch's default).
    """
    if rule == "half-pixel":
        height, width = size
        resized = cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(resized, np.float32)
    rows, columns = (_positions(*pair) for pair in zip(values.shape, size, strict=True))
    tall = _blend(values, rows)
    return np.ascontiguousarray(_blend(tall.T, columns).T)


def _positions(source: int, target: int) -> NDArray[np.float64]:
    return np.linspace(0, source - 1, target) if target > 1 else np.zeros(1)


def _blend(values: NDArray[np.float32], at: NDArray[np.float64]) -> NDArray[np.float32]:
    below = np.clip(np.floor(at).astype(np.intp), 0, max(len(values) - 2, 0))
    above = np.minimum(below + 1, len(values) - 1)
    share = (at - below).astype(np.float32)[:, None]
    return np.asarray(values[below] * (1 - share) + values[above] * share, np.float32)

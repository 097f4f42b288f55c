"""A contact sheet: thumbnails of all frames with their names."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

_WIDTH, _HEIGHT, _LABEL = 200, 132, 18  # pixels: a cell's picture, and the label below it
_GAP = 6
_PAPER, _INK = 24, (220, 220, 220)
_FONT, _SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.36


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture (uint8 RGB H,W,3) fitted into a cell, RGB."""
    height, width = image.shape[:2]
    ratio = min(_WIDTH / width, _HEIGHT / height)
    size = max(1, round(width * ratio)), max(1, round(height * ratio))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def contact_sheet(
    thumbnails: Sequence[NDArray[np.uint8]], labels: Sequence[str]
) -> NDArray[np.uint8]:
    """The sheet, uint8 RGB H,W,3, filled row by row, with at most 8 columns."""
    columns = min(8, max(1, math.ceil(math.sqrt(len(thumbnails)))))
    rows = math.ceil(len(thumbnails) / columns)
    step_x, step_y = _WIDTH + _GAP, _HEIGHT + _LABEL + _GAP
    sheet = np.full((rows * step_y + _GAP, columns * step_x + _GAP, 3), _PAPER, np.uint8)
    for number, (image, label) in enumerate(zip(thumbnails, labels, strict=True)):
        height, width = image.shape[:2]
        top = _GAP + number // columns * step_y
        left = _GAP + number % columns * step_x
        y, x = top + (_HEIGHT - height) // 2, left + (_WIDTH - width) // 2
        sheet[y : y + height, x : x + width] = image
        place = (left + 2, top + _HEIGHT + _LABEL - 5)
        plain = label.encode("ascii", "replace").decode()  # the font has ASCII only
        cv2.putText(sheet, plain[:32], place, _FONT, _SCALE, _INK, 1, cv2.LINE_AA)
    return sheet

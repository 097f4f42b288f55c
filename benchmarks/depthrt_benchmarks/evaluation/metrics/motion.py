"""Where a pixel of one frame was in the frame before, and whether that can be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_DISAGREEMENT_PX = 1.0  # between forward and backward flow, at the depth map's size
MAX_COLOUR_DIFFERENCE = 12.0  # of 255, mean over the channels


@dataclass(frozen=True, eq=False)
class Correspondence:
    """Where each pixel of a frame was in the one before.

    - ``column``, ``row``: float32 h,w, in pixels of the earlier frame;
    - ``trusted``: bool h,w: inside the picture, both flows agree and the colours match.
    """

    column: NDArray[np.float32]
    row: NDArray[np.float32]
    trusted: NDArray[np.bool_]

    def carry(self, values: NDArray[Any]) -> NDArray[Any]:
        """A map of the earlier frame (h,w or h,w,3) seen from the later one, bilinear."""
        moved = cv2.remap(
            values, self.column, self.row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(moved)


def correspondence(earlier: NDArray[np.uint8], later: NDArray[np.uint8]) -> Correspondence:
    """Dense motion between two pictures (uint8 RGB h,w,3) of one size.

    Optical flow is DIS (Kroeger et al., ECCV 2016; OpenCV's, medium preset), forward and backward.
    """
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (earlier, later)]
    back = flow.calc(grey[1], grey[0], None)  # type: ignore[call-overload]
    forth = flow.calc(grey[0], grey[1], None)  # type: ignore[call-overload]
    height, width = later.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    column, row = columns + back[..., 0], rows + back[..., 1]
    inside = (column >= 0) & (column <= width - 1) & (row >= 0) & (row <= height - 1)
    moved = Correspondence(column, row, inside)
    round_trip = np.linalg.norm(back + moved.carry(forth), axis=-1)
    colour = np.abs(later.astype(np.float32) - moved.carry(earlier.astype(np.float32))).mean(-1)
    trusted = inside & (round_trip <= MAX_DISAGREEMENT_PX) & (colour <= MAX_COLOUR_DIFFERENCE)
    return Correspondence(column, row, trusted)

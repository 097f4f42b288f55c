"""Depth maps: what a model gives for one image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.spec import Kind, Unit


@dataclass(frozen=True, eq=False)
class Depth:
    """The depth map of one image.

    - ``values``: float32 (h,w) at the network's size, unnormalised, padding cut off;
    - ``kind``: ``inverse_depth`` (larger is nearer) or ``depth`` (larger is farther);
    - ``unit``: ``m`` for metric depth, else None;
    - ``image_size``: height and width of the image it belongs to, in pixels.
    """

    values: NDArray[np.float32]
    kind: Kind
    unit: Unit | None
    image_size: tuple[int, int]

    def at_image_size(self) -> NDArray[np.float32]:
        """The values resized bilinearly to the image's size, float32 (H,W)."""
        height, width = self.image_size
        resized = cv2.resize(self.values, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(resized, np.float32)

"""Depth maps carried over by flow that was found on thumbnails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.temporal.optical_flow import Map, OpticalFlow


class Warp:
    """Carries maps from one frame to another; one object for each thread.

    It keeps the memory that it works in: fresh memory costs as much as the sums.
    """

    def __init__(self) -> None:
        self.flow = OpticalFlow()
        self._scratch: dict[str, Map] = {}
        self._place: tuple[Map, Map] = (np.empty((0, 0), np.float32),) * 2

    def aim(self, place: Map, shape: tuple[int, ...]) -> None:
        """Say where pixels come from.

        Args:
            place: h,w,2 of a thumbnail, as :class:`OpticalFlow` finds it.
            shape: height and width of the maps to carry.
        """
        rows, columns = place.shape[:2]
        planes = []
        for plane, ratio, name in zip(
            cv2.split(place), (shape[1] / columns, shape[0] / rows), "xy", strict=True
        ):
            # The middle of a thumbnail's pixel i lies at (i + 0.5) * ratio - 0.5.
            scaled = cv2.addWeighted(plane, ratio, plane, 0, (ratio - 1) / 2, dst=plane)
            planes.append(self.enlarged(np.asarray(scaled, np.float32), shape, name))
        self._place = planes[0], planes[1]

    def enlarged(self, values: Map, shape: tuple[int, ...], name: str = "map") -> Map:
        """A map of a thumbnail at another size (h,w), in memory that is used again."""
        out = self._memory(name, shape)
        size, how = (shape[1], shape[0]), cv2.INTER_LINEAR
        return np.asarray(cv2.resize(values, size, dst=out, interpolation=how), np.float32)

    def carry(self, values: Map) -> Map:
        """A map (h,w), bilinear."""
        how, border = cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
        moved = cv2.remap(values, *self._place, how, borderMode=border)
        return np.asarray(moved, np.float32)

    def carry_all(self, optional: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Optional outputs of a network: maps h,w, three maps, or one number."""
        return {name: self._carried(values) for name, values in optional.items()}

    def _carried(self, values: NDArray[Any]) -> NDArray[Any]:
        if values.ndim == 0:
            return values
        if values.dtype == np.bool_:
            return np.asarray(self.carry(values.astype(np.float32)) >= 0.5)
        if values.ndim == 3:
            return np.stack([self.carry(plane) for plane in values])
        return self.carry(values)

    def _memory(self, name: str, shape: tuple[int, ...]) -> Map:
        found = self._scratch.get(name)
        if found is None or found.shape != shape:
            found = self._scratch[name] = np.empty(shape, np.float32)
        return found

"""Depth maps: what a model gives for one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import UsageError
from depthrt.spec import Kind, Resize, Unit, direction_of

if TYPE_CHECKING:
    from supervision import DepthMap


@dataclass(frozen=True, eq=False)
class Depth:
    """The depth map of one image.

    - ``values``: float32 (h,w) at the network's size, unnormalised, padding cut off;
    - ``kind``: ``inverse_depth`` (larger is nearer) or ``depth`` (larger is farther);
    - ``unit``: ``m`` for metric depth, else None;
    - ``image_size``: height and width of the image it belongs to, in pixels;
    - ``resize``: how the image became the network's input; ``values`` cover all of it in any case.
    """

    values: NDArray[np.float32]
    kind: Kind
    unit: Unit | None
    image_size: tuple[int, int]
    resize: Resize = "stretch"

    @property
    def larger_is(self) -> Literal["nearer", "farther"]:
        """What larger values mean."""
        return direction_of(self.kind)

    def at_image_size(self) -> NDArray[np.float32]:
        """The values resized bilinearly to the image's size, float32 (H,W)."""
        import cv2

        height, width = self.image_size
        resized = cv2.resize(self.values, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(resized, np.float32)

    def to_supervision(self) -> DepthMap:
        """The depth as Roboflow supervision's ``DepthMap``, at the image's size.

        >>> depth.to_supervision().measure_detections(detections)

        Metric depth is ``depth_m``. Relative depth is ``relative_inverse``, larger is nearer and
        not negative, as supervision wants it: only the order of its values means something there.

        Raises:
            UsageError: supervision 0.31 or newer is not installed.
        """
        try:
            from supervision import DepthMap
        except ImportError as error:
            raise UsageError(
                "a DepthMap needs the package supervision, 0.31 or newer: pip install supervision"
            ) from error
        values = self.at_image_size()
        if self.unit == "m":
            metres = _inverse(values) if self.kind == "inverse_depth" else values
            return DepthMap(metres, kind="depth_m")
        if self.kind == "depth":
            return DepthMap(_inverse(values), kind="relative_inverse")
        return DepthMap(values - min(0.0, float(values.min())), kind="relative_inverse")


def _inverse(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / values; NaN where that is no distance."""
    with np.errstate(divide="ignore"):
        return np.where(values > 0, 1 / values, np.float32(np.nan))

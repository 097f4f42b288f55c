"""Depth maps: what a model gives for one image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import UsageError
from depthrt.spec import Kind, Resize, Unit, direction_of, respell

if TYPE_CHECKING:
    from supervision import DepthMap

_Self = TypeVar("_Self", bound="Depth")
_MAPS = ("confidence", "valid", "normals")


@dataclass(frozen=True, eq=False)
class Depth:
    """The depth map of one image.

    - ``values``: float32 (h,w) at the network's size, unnormalised, padding cut off;
    - ``kind``: ``inverse_depth`` (larger is nearer; ``inverse-depth`` becomes it) or ``depth``
      (larger is farther);
    - ``unit``: ``m`` for metric depth, else None;
    - ``image_size``: height and width of the image it belongs to, in pixels;
    - ``resize``: how the image became the network's input; ``values`` cover all of it in any case.

    What else the network gives, None where it does not:

    - ``confidence``: float32 (h,w), larger is surer; the scale is the network's own;
    - ``valid``: bool (h,w), where the values mean something;
    - ``normals``: float32 (3,h,w), unit vectors of the surface towards the camera: x right, y down,
      z forward;
    - ``fov_deg``: horizontal angle of view of the image in degrees, between 0 and 180.
    """

    values: NDArray[np.float32]
    kind: Kind
    unit: Unit | None
    image_size: tuple[int, int]
    resize: Resize = "stretch"
    confidence: NDArray[np.float32] | None = field(default=None, kw_only=True)
    valid: NDArray[np.bool_] | None = field(default=None, kw_only=True)
    normals: NDArray[np.float32] | None = field(default=None, kw_only=True)
    fov_deg: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        respell(self, "kind", "resize")

    @property
    def larger_is(self) -> Literal["nearer", "farther"]:
        """What larger values mean."""
        return direction_of(self.kind)

    @property
    def known_values(self) -> NDArray[np.float32]:
        """All values (h,w) or, where some are not valid, a row (N) of the valid ones."""
        return self.values if self.valid is None else self.values[self.valid]

    @property
    def values_or_nan(self) -> NDArray[np.float32]:
        """The values (h,w), NaN where they are not valid."""
        if self.valid is None:
            return self.values
        return np.where(self.valid, self.values, np.float32(np.nan))

    def with_optional(self: _Self, optional: Mapping[str, NDArray[Any]], width: int) -> _Self:
        """The same depth with the optional outputs for its image, whose padding is cut off.

        Args:
            optional: the outputs by name, as the network gave them, without the axis N.
            width: that of the network's input: an angle of view is that of the padded picture.
        """
        rows, columns = self.values.shape
        confidence, valid, normals = (
            optional[name][..., :rows, :columns] if name in optional else None for name in _MAPS
        )
        fov_deg = float(optional["fov_deg"]) if "fov_deg" in optional else None
        if fov_deg is not None and columns < width:
            tangent = math.tan(math.radians(fov_deg) / 2)
            fov_deg = math.degrees(2 * math.atan(tangent * columns / width))
        return replace(self, confidence=confidence, valid=valid, normals=normals, fov_deg=fov_deg)

    def copy(self: _Self) -> _Self:
        """The same depth in memory of its own."""
        confidence, valid, normals = (
            None if each is None else each.copy()
            for each in (self.confidence, self.valid, self.normals)
        )
        values = self.values.copy()
        return replace(self, values=values, confidence=confidence, valid=valid, normals=normals)

    def enlarged(self: _Self) -> _Self:
        """All maps resized bilinearly to the image's size.

        Normals are unit vectors again. What mixes valid and invalid values is invalid.
        """
        confidence = None if self.confidence is None else self._resized(self.confidence)
        valid = None
        if self.valid is not None:
            valid = self._resized(self.valid.astype(np.uint8) * 255) == 255
        normals = None
        if self.normals is not None:
            normals = np.stack([self._resized(plane) for plane in self.normals])
            normals /= np.maximum(np.linalg.norm(normals, axis=0), 1e-12)
        values = self.at_image_size()
        return replace(self, values=values, confidence=confidence, valid=valid, normals=normals)

    def at_image_size(self) -> NDArray[np.float32]:
        """The values resized bilinearly to the image's size, float32 (H,W)."""
        return np.asarray(self._resized(self.values), np.float32)

    def _resized(self, plane: NDArray[Any]) -> NDArray[Any]:
        import cv2

        height, width = self.image_size
        return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR))

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
        values = self.enlarged().values_or_nan
        if self.unit == "m":
            metres = _inverse(values) if self.kind == "inverse_depth" else values
            return DepthMap(metres, kind="depth_m")
        if self.kind == "depth":
            return DepthMap(_inverse(values), kind="relative_inverse")
        lowest = float(values.min(initial=0.0, where=~np.isnan(values)))
        return DepthMap(values - lowest, kind="relative_inverse")


def _inverse(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / values; NaN where that is no distance."""
    with np.errstate(divide="ignore"):
        return np.where(values > 0, 1 / values, np.float32(np.nan))

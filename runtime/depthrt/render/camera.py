"""The pinhole camera: from depth maps to points in space."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depthrt.depth import Depth
from depthrt.errors import UsageError

Span = tuple[float, float]  # nearest and farthest distance
DEFAULT_SPAN: Span = (1.0, 10.0)
DEFAULT_FOV_DEG = 60.0  # horizontal, typical of webcams and phones


@dataclass(frozen=True)
class Intrinsics:
    """Intrinsics of a pinhole camera, in pixels; the centre of the first pixel is (0, 0)."""

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        values = (self.fx, self.fy, self.cx, self.cy)
        if not all(map(math.isfinite, values)) or self.fx <= 0 or self.fy <= 0:
            given = ",".join(f"{value:g}" for value in values)
            raise UsageError(
                f"--intrinsics {given} is no camera: give fx,fy,cx,cy in pixels, fx and fy above 0"
            )

    @classmethod
    def parse(cls, text: str) -> Intrinsics:
        """The camera written as ``fx,fy,cx,cy``.

        Raises:
            UsageError: not four numbers, or no camera.
        """
        try:
            fx, fy, cx, cy = (float(part) for part in text.split(","))
        except ValueError as error:
            raise UsageError(
                f"--intrinsics {text} is not four numbers fx,fy,cx,cy in pixels"
            ) from error
        return cls(fx, fy, cx, cy)

    @classmethod
    def from_fov(cls, fov_deg: float, size: tuple[int, int]) -> Intrinsics:
        """The camera with this horizontal field of view and this image size (height, width).

        Pixels are square, and the optical axis passes through the image's centre.

        Raises:
            UsageError: an angle that is not between 0 and 180 degrees.
        """
        if not 0 < fov_deg < 180:
            raise UsageError(f"--fov {fov_deg:g} is no angle between 0 and 180 degrees")
        height, width = size
        focal = width / 2 / math.tan(math.radians(fov_deg) / 2)
        return cls(focal, focal, (width - 1) / 2, (height - 1) / 2)

    def scaled(self, size: tuple[int, int], to: tuple[int, int]) -> Intrinsics:
        """The camera after its image is resized from ``size`` (height, width) to ``to``."""
        down, across = to[0] / size[0], to[1] / size[1]
        # Pixel edges are scaled, not centres: the first pixel begins at -0.5.
        cx, cy = (self.cx + 0.5) * across - 0.5, (self.cy + 0.5) * down - 0.5
        return Intrinsics(self.fx * across, self.fy * down, cx, cy)


def distances(
    depth: Depth, display_range: tuple[float, float] | None = None, span: Span | None = None
) -> NDArray[np.float32]:
    """The distance of every pixel along the optical axis: float32 (h,w), NaN where unknown.

    It is unknown where depth is not valid, too.

    Metric depth is in metres, and distances outside ``span`` are NaN. Relative depth has no scale
    and no shift, so ``display_range`` is mapped to ``span``, far to far and near to near, linear in
    the model's values (1/distance for inverse depth). Values outside are clipped to the ends. The
    shape is only as true as that assumption.

    Args:
        depth: a depth map.
        display_range: low and high value, as in :class:`depthrt.Result`; None: the smallest and
            the largest value of this map.
        span: nearest and farthest distance; None: no limit for metric depth, 1 to 10 for relative.

    Raises:
        UsageError: a span that is not 0 < near < far.
    """
    if span is not None:
        check_span(span)
    values = depth.values_or_nan.astype(np.float32, copy=False)
    if depth.unit == "m":
        near, far = span or (0.0, math.inf)
        with np.errstate(divide="ignore"):
            z = 1 / values if depth.kind == "inverse_depth" else values
        return np.where((z > 0) & (z >= near) & (z <= far) & np.isfinite(z), z, np.float32(np.nan))
    near, far = span or DEFAULT_SPAN
    known = depth.known_values
    low, high = display_range or (
        float(known.min(initial=np.inf)),
        float(known.max(initial=-np.inf)),
    )
    share = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    if depth.kind == "depth":
        return np.asarray(near + share * (far - near), np.float32)
    return np.asarray(1 / (1 / far + share * (1 / near - 1 / far)), np.float32)


def _extremes(values: NDArray[np.float32]) -> tuple[float, float]:
    return (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)


def check_span(span: Span) -> None:
    """Check a nearest and farthest distance.

    Raises:
        UsageError: not 0 < near < far.
    """
    near, far = span
    if not 0 < near < far < math.inf:
        raise UsageError(f"--near {near:g} and --far {far:g} are no distances above 0, near < far")


def unproject(z: NDArray[np.float32], camera: Intrinsics) -> NDArray[np.float32]:
    """The points at distances ``z``: float32 (h,w,3), x right, y down, z forward.

    Args:
        z: distances along the optical axis (h,w).
        camera: intrinsics at the size of ``z``.
    """
    height, width = z.shape
    across = ((np.arange(width) - camera.cx) / camera.fx).astype(np.float32)
    down = ((np.arange(height) - camera.cy) / camera.fy).astype(np.float32)
    return np.stack([across[None, :] * z, down[:, None] * z, z], axis=-1)

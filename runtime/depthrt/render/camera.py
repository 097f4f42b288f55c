"""From depth maps to points in space: the pinhole camera."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depthrt.depth import Depth
from depthrt.errors import UsageError

Span = tuple[float, float]  # nearest and farthest distance
DEFAULT_SPAN: Span = (1.0, 10.0)
DEFAULT_FOV_DEG = 60.0  # as wide as common webcams and phones film


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera in pixels of the image; the middle of the first pixel is (0, 0)."""

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        values = (self.fx, self.fy, self.cx, self.cy)
        if not all(map(math.isfinite, values)) or self.fx <= 0 or self.fy <= 0:
            given = ",".join(f"{value:g}" for value in values)
            raise UsageError(
                f"--intrinsics {given} is no camera: fx,fy,cx,cy in pixels, fx and fy above 0"
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
        """The camera that sees this horizontal angle in an image of this height and width.

        Square pixels, and the optical axis through the image's middle.

        Raises:
            UsageError: an angle that a pinhole camera cannot see.
        """
        if not 0 < fov_deg < 180:
            raise UsageError(f"--fov {fov_deg:g} is no angle between 0 and 180 degrees")
        height, width = size
        focal = width / 2 / math.tan(math.radians(fov_deg) / 2)
        return cls(focal, focal, (width - 1) / 2, (height - 1) / 2)

    def scaled(self, size: tuple[int, int], to: tuple[int, int]) -> Intrinsics:
        """The camera of the same image resized from one height and width to another."""
        down, across = to[0] / size[0], to[1] / size[1]
        # Pixel edges are scaled, not middles: the first pixel begins at -0.5.
        cx, cy = (self.cx + 0.5) * across - 0.5, (self.cy + 0.5) * down - 0.5
        return Intrinsics(self.fx * across, self.fy * down, cx, cy)


def distances(
    depth: Depth, display_range: tuple[float, float] | None = None, span: Span | None = None
) -> NDArray[np.float32]:
    """How far every pixel is along the optical axis: float32 (h,w), NaN where that is unknown.

    Metric depth is taken as it is, in metres; ``span`` cuts off what lies outside it. Relative
    depth has neither scale nor shift: the far end of ``display_range`` is put at the far end of
    ``span`` and the near end at the near one, linear in what the model gives (1/distance for
    inverse depth), and what lies outside is put at the ends. The shape is then only as true as
    that guess.

    Args:
        depth: a depth map.
        display_range: low and high value, as :class:`depthrt.Result` has them; None takes the
            smallest and the largest of this map.
        span: nearest and farthest distance; None: no limit, and 1 to 10 for relative depth.

    Raises:
        UsageError: a span that does not go from near to far.
    """
    if span is not None:
        check_span(span)
    values = depth.values.astype(np.float32, copy=False)
    if depth.unit == "m":
        near, far = span or (0.0, math.inf)
        with np.errstate(divide="ignore"):
            z = 1 / values if depth.kind == "inverse_depth" else values
        return np.where((z > 0) & (z >= near) & (z <= far) & np.isfinite(z), z, np.float32(np.nan))
    near, far = span or DEFAULT_SPAN
    low, high = display_range or (float(values.min()), float(values.max()))
    share = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    if depth.kind == "depth":
        return np.asarray(near + share * (far - near), np.float32)
    return np.asarray(1 / (1 / far + share * (1 / near - 1 / far)), np.float32)


def check_span(span: Span) -> None:
    """Refuse distances that do not go from near to far."""
    near, far = span
    if not 0 < near < far < math.inf:
        raise UsageError(f"--near {near:g} and --far {far:g} are no distances above 0, near < far")


def unproject(z: NDArray[np.float32], camera: Intrinsics) -> NDArray[np.float32]:
    """Points of distances along the optical axis (h,w): float32 (h,w,3), x right, y down, z ahead.

    Args:
        z: distances (h,w).
        camera: intrinsics at the size of ``z``.
    """
    height, width = z.shape
    across = ((np.arange(width) - camera.cx) / camera.fx).astype(np.float32)
    down = ((np.arange(height) - camera.cy) / camera.fy).astype(np.float32)
    return np.stack([across[None, :] * z, down[:, None] * z, z], axis=-1)

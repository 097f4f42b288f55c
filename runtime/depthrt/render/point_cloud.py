"""Coloured point clouds of depth maps, and PLY files of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.depth import Depth
from depthrt.errors import UsageError
from depthrt.frame import Image, Plane, YuvImage, to_rgb
from depthrt.model.preprocess import check_image
from depthrt.render.camera import (
    DEFAULT_FOV_DEG,
    DEFAULT_SPAN,
    Intrinsics,
    Span,
    check_span,
    distances,
    unproject,
)

_POSITION, _NORMAL, _COLOUR = ("x", "y", "z"), ("nx", "ny", "nz"), ("red", "green", "blue")


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Points in front of a camera: x right, y down, z forward, as in OpenCV and ROS optical frames.

    - ``xyz``: float32 (N,3), in metres where the depth is metric;
    - ``rgb``: uint8 (N,3);
    - ``normals``: float32 (N,3), unit vectors towards the camera; None where the network gives
      none.
    """

    xyz: NDArray[np.float32]
    rgb: NDArray[np.uint8]
    normals: NDArray[np.float32] | None = None

    def to_ply(self, comments: tuple[str, ...] = ()) -> bytes:
        """The cloud as a binary little-endian PLY file with comment lines.

        Format: Turk, The PLY Polygon File Format, 1994.
        """
        columns: list[tuple[tuple[str, ...], str, str, NDArray[Any]]] = [
            (_POSITION, "<f4", "float", self.xyz),
            *([] if self.normals is None else [(_NORMAL, "<f4", "float", self.normals)]),
            (_COLOUR, "u1", "uchar", self.rgb),
        ]
        fields = [(name, kind) for names, kind, _, _ in columns for name in names]
        vertices = np.empty(len(self.xyz), np.dtype(fields))
        for names, _, _, values in columns:
            for column, name in enumerate(names):
                vertices[name] = values[:, column]
        lines = [
            "ply",
            "format binary_little_endian 1.0",
            *(f"comment {_one_line(comment)}" for comment in comments),
            f"element vertex {len(vertices)}",
            *(f"property {word} {name}" for names, _, word, _ in columns for name in names),
            "end_header",
        ]
        return "\n".join([*lines, ""]).encode("ascii") + vertices.tobytes()


@dataclass(frozen=True)
class CloudOptions:
    """How depth becomes points; see :func:`point_cloud`.

    - ``fov_deg``: horizontal field of view; or ``intrinsics``, in pixels of the image. Without
      either it is what the network says, or 60 degrees where it says nothing;
    - ``span``: nearest and farthest distance; None: all of metric depth, 1 to 10 for relative;
    - ``edge``: leave out points between a near and a far surface, which are farther from both than
      this fraction of their distance: depth maps are smooth where real depth jumps. 0.1 is usual.
      Distant floor, which is as steep, loses points too. None: all points stay.

    Raises:
        UsageError: values that contradict one another or lie outside their range.
    """

    fov_deg: float | None = None
    intrinsics: Intrinsics | None = None
    span: Span | None = None
    edge: float | None = None

    def __post_init__(self) -> None:
        if self.edge is not None and not self.edge > 0:
            raise UsageError(f"--edge {self.edge:g} is not above 0")
        if self.fov_deg is not None and self.intrinsics is not None:
            raise UsageError("--fov and --intrinsics both say what the camera is: give one")
        if self.fov_deg is not None:
            Intrinsics.from_fov(self.fov_deg, (1, 1))
        if self.span is not None:
            check_span(self.span)

    @property
    def is_default(self) -> bool:
        """Whether every option has its default."""
        return self == CloudOptions()

    def camera(self, size: tuple[int, int], own_fov_deg: float | None = None) -> Intrinsics:
        """The camera for images of this size (height, width).

        ``own_fov_deg`` is what the network says; what was given as an option comes first.
        """
        fov_deg = self.fov_deg or own_fov_deg or DEFAULT_FOV_DEG
        return self.intrinsics or Intrinsics.from_fov(fov_deg, size)

    def assumed(self, *, metric: bool, own_fov_deg: float | None = None) -> str:
        """What is assumed for lack of options, as one sentence; empty if nothing is.

        Args:
            metric: depth is in metres.
            own_fov_deg: what the network says of the first frame.
        """
        guesses = []
        takes_own = self.takes_own_view(own_fov_deg)
        if self.fov_deg is None and self.intrinsics is None and not takes_own:
            guesses.append(f"a view {DEFAULT_FOV_DEG:g} degrees wide (--fov or --intrinsics)")
        if self.span is None and not metric:
            near, far = DEFAULT_SPAN
            guesses.append(
                f"depth from {near:g} to {far:g}, as relative depth has no scale or shift of its "
                "own (--near, --far)"
            )
        said = [f"the points assume {' and '.join(guesses)}"] if guesses else []
        if takes_own:
            said.insert(
                0,
                f"the points take the network's own angle of view, {own_fov_deg:.1f} degrees in "
                "the first frame (--fov or --intrinsics for another)",
            )
        return "; ".join(said)

    def takes_own_view(self, own_fov_deg: float | None) -> bool:
        """Whether the camera is what the network says it is."""
        return own_fov_deg is not None and self.fov_deg is None and self.intrinsics is None


def point_cloud(
    image: Image,
    depth: Depth,
    options: CloudOptions | None = None,
    display_range: tuple[float, float] | None = None,
) -> PointCloud:
    """The points of an image: one for each value of its depth map with a known distance.

    Values that the network calls invalid have none.

    >>> cloud = point_cloud(image, model(image), CloudOptions(fov_deg=70))
    >>> Path("cloud.ply").write_bytes(cloud.to_ply())

    The shape of relative depth is true only if ``options.span`` is. For ``display_range`` see
    :func:`depthrt.render.camera.distances`.

    Args:
        image: uint8 RGB (H,W,3) or planar YUV.
        depth: its depth map.
        options: camera and distances.
        display_range: as in :class:`depthrt.Result`, so that the clouds of a sequence fit together.

    Raises:
        UsageError: no usable image.
    """
    options = options or CloudOptions()
    check_image(image)
    height, width = depth.values.shape
    camera = options.camera(depth.image_size, depth.fov_deg)
    camera = camera.scaled(depth.image_size, (height, width))
    points = unproject(distances(depth, display_range, options.span), camera)
    known = np.isfinite(points[..., 2])
    if options.edge is not None:
        known &= ~_hanging(points[..., 2], options.edge)
    colours = _resized(image, (height, width))[known]
    normals = None if depth.normals is None else depth.normals.transpose(1, 2, 0)[known]
    return PointCloud(points[known], colours, normals)


def describe_cloud(depth: Depth, options: CloudOptions) -> tuple[str, ...]:
    """What a reader of the points must know, as lines: axes, unit, camera, what was left out."""
    camera = options.camera(depth.image_size, depth.fov_deg)
    height, width = depth.image_size
    lens = f"fx {camera.fx:g} fy {camera.fy:g} cx {camera.cx:g} cy {camera.cy:g}"
    if depth.unit == "m":
        unit = "metres"
    else:
        near, far = options.span or DEFAULT_SPAN
        unit = f"relative depth, stretched to distances from {near:g} to {far:g}"
    lines = ["x right, y down, z ahead", unit, f"camera {lens} of {width}x{height} pixels"]
    if options.takes_own_view(depth.fov_deg):
        lines.append(f"angle of view {depth.fov_deg:.2f} degrees, as the network says")
    if depth.valid is not None:
        lines.append(f"left out as not valid: {np.count_nonzero(~depth.valid)} pixels")
    return tuple(lines)


def _hanging(z: NDArray[np.float32], edge: float) -> NDArray[np.bool_]:
    """Where distances (h,w) lie between a nearer and a farther neighbour: points that hang."""
    known, kernel = np.isfinite(z), np.ones((3, 3), np.uint8)
    nearest = cv2.erode(np.where(known, z, np.float32(np.inf)), kernel)
    farthest = cv2.dilate(np.where(known, z, np.float32(-np.inf)), kernel)
    return np.asarray((z / (1 + edge) > nearest) & (farthest / (1 + edge) > z))


def _resized(image: Image, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The image at another height and width, as RGB."""
    target = (size[1], size[0])

    def resize(plane: Plane) -> Plane:
        how = cv2.INTER_AREA if plane.shape[0] > size[0] else cv2.INTER_LINEAR
        return cv2.resize(plane, target, interpolation=how)

    if not isinstance(image, YuvImage):
        return resize(image)
    # Resized before the colour conversion, which then has fewer pixels.
    return to_rgb(image.with_planes(resize))


def _one_line(text: str) -> str:
    return " ".join(text.split()).encode("ascii", "replace").decode("ascii")

"""Temporal alignment error: does depth agree with itself when the camera moves?

After Video-Depth-Anything's ``eval_tae.py`` (Chen et al., CVPR 2025).

What it can see: depth of neighbouring frames that contradicts the known motion of the camera,
including flicker that optical flow cannot follow.

What it cannot see: things that move by themselves count as error; a depth map that is wrong in the
same way in every frame can score well; errors of the poses and of their time stamps are a floor
below which no method gets. It needs poses, intrinsics and depth in the unit of the poses, so that
relative depth has to be aligned to ground truth first, once for the whole sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ASPECT_TOLERANCE = 0.02


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera in pixels; the middle of the first pixel is (0, 0).

    ``width``, ``height``: of the picture that it is given for; None: of the depth map.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int | None = None
    height: int | None = None

    def at(self, height: int, width: int) -> Intrinsics:
        """The same camera for a picture of this size, which shows the same view.

        Edges of pixels are scaled, not their middles: the first one begins at -0.5.
        """
        if self.width is None or self.height is None:
            return self
        across, down = width / self.width, height / self.height
        cx, cy = (self.cx + 0.5) * across - 0.5, (self.cy + 0.5) * down - 0.5
        return Intrinsics(self.fx * across, self.fy * down, cx, cy, width, height)

    def cut(self, top: int, left: int) -> Intrinsics:
        """The same camera for a picture that begins so many pixels further down and right."""
        return Intrinsics(self.fx, self.fy, self.cx - left, self.cy - top)

    def is_of_shape(self, height: int, width: int) -> bool:
        """Whether width over height of a picture is the camera's, to 2%."""
        if self.width is None or self.height is None:
            return True
        return abs(width / height / (self.width / self.height) - 1) <= _ASPECT_TOLERANCE


def pose_matrix(
    translation_m: Sequence[float], quaternion_xyzw: Sequence[float]
) -> NDArray[np.float64]:
    """The 4,4 camera-to-world matrix of a line of TUM RGB-D's pose files."""
    x, y, z, w = np.asarray(quaternion_xyzw, np.float64) / np.linalg.norm(quaternion_xyzw)
    pose = np.eye(4)
    pose[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    pose[:3, 3] = translation_m
    return pose


def usable_pose(numbers: Sequence[float]) -> NDArray[np.float64] | None:
    """The pose of ``tx ty tz qx qy qz qw`` (metres); None where they give no place or rotation.

    Raises:
        ValueError: not seven numbers.
    """
    if len(numbers) != 7:
        raise ValueError(f"{len(numbers)} numbers, but a pose has 7")
    if not np.isfinite(numbers).all() or not np.linalg.norm(numbers[3:]) > 0:
        return None
    return pose_matrix(numbers[:3], numbers[3:])


def tae(
    depths_m: Sequence[NDArray[np.float32]],
    poses: Sequence[NDArray[np.float64]],
    camera: Intrinsics,
    valid: Sequence[NDArray[np.bool_]] | None = None,
) -> float:
    """Temporal alignment error in percent, smaller is better: sum / (2 (N - 1)) * 100.

    A direction in which nothing of one frame is seen in the other is left out of both.

    Args:
        depths_m: N depth maps (h,w) along the optical axis, aligned once for the sequence, in the
            unit of the poses (metres).
        poses: N camera-to-world matrices 4,4 (x right, y down, z forward).
        camera: intrinsics at the size of the depth maps.
        valid: N masks h,w of the pixels that count in the frame that is looked at; None: all.

    Raises:
        ValueError: fewer than two frames, lists of different length, or frames of which none shows
            what another does.
    """
    count = len(depths_m)
    if count < 2 or len(poses) != count or (valid is not None and len(valid) != count):
        raise ValueError("TAE needs two frames or more, each with its pose and mask")
    errors = []
    for i in range(count - 1):
        forth = np.linalg.inv(poses[i + 1]) @ poses[i]
        masks = (None, None) if valid is None else (valid[i + 1], valid[i])
        errors.append(reprojection_error(depths_m[i], depths_m[i + 1], forth, camera, masks[0]))
        back: NDArray[np.float64] = np.linalg.inv(poses[i]) @ poses[i + 1]
        errors.append(reprojection_error(depths_m[i + 1], depths_m[i], back, camera, masks[1]))
    known = [error for error in errors if error is not None]
    if not known:
        raise ValueError("no frame shows anything that the one before it does")
    return float(np.mean(known)) * 100


def reprojection_error(
    source_m: NDArray[np.float32],
    target_m: NDArray[np.float32],
    motion: NDArray[np.float64],
    camera: Intrinsics,
    valid: NDArray[np.bool_] | None = None,
) -> float | None:
    """AbsRel of a depth map moved into another camera: mean \\|target - moved\\| / target.

    Pixels are back-projected, moved by the 4,4 matrix ``motion`` (source camera to target camera),
    projected and rounded. Where several meet, the last in raster order stays, as in the original.
    None where no pixel of both is left.
    """
    height, width = source_m.shape
    rows, columns = np.mgrid[0:height, 0:width]
    z = source_m.astype(np.float64)
    points = np.stack(
        [(columns - camera.cx) / camera.fx * z, (rows - camera.cy) / camera.fy * z, z], axis=-1
    )
    points = points[z > 0] @ motion[:3, :3].T + motion[:3, 3]
    points = points[points[:, 2] > 0]
    x = np.rint(points[:, 0] / points[:, 2] * camera.fx + camera.cx)
    y = np.rint(points[:, 1] / points[:, 2] * camera.fy + camera.cy)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    moved = np.zeros((height, width))
    moved[y[inside].astype(np.intp), x[inside].astype(np.intp)] = points[inside, 2]
    seen = (moved > 0) & (target_m > 0)
    if valid is not None:
        seen &= valid
    if not seen.any():
        return None
    target = target_m[seen].astype(np.float64)
    return float(np.mean(np.abs(target - moved[seen]) / target))

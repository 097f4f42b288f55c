"""TAE on geometry whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt_benchmarks.evaluation.metrics.tae import (
    Intrinsics,
    pose_matrix,
    reprojection_error,
    tae,
    usable_pose,
)

CAMERA = Intrinsics(fx=100.0, fy=100.0, cx=31.5, cy=23.5)
SIZE = (48, 64)


def wall(depth_m: float) -> NDArray[np.float32]:
    return np.full(SIZE, depth_m, np.float32)


def at(x: float = 0.0, z: float = 0.0) -> NDArray[np.float64]:
    return pose_matrix((x, 0.0, z), (0.0, 0.0, 0.0, 1.0))


def test_a_wall_that_comes_nearer_as_the_camera_does_has_no_error() -> None:
    assert tae([wall(4), wall(3.5), wall(3)], [at(z=0), at(z=0.5), at(z=1)], CAMERA) < 1e-4


def test_depth_that_ignores_the_motion_has_the_error_of_the_step() -> None:
    # Forward: 3 is expected where 4 stands, 1/4; back: 5 where 4 stands, 1/4.
    assert tae([wall(4), wall(4)], [at(z=0), at(z=1)], CAMERA) == pytest.approx(25.0)


def test_scale_flicker_is_seen() -> None:
    # |4.4 - 4| / 4.4 one way and |4 - 4.4| / 4 the other.
    expected = 100 * (0.4 / 4.4 + 0.4 / 4) / 2
    assert tae([wall(4), wall(4.4)], [at(), at()], CAMERA) == pytest.approx(expected, rel=1e-5)


def test_a_slanted_plane_seen_from_the_side_agrees_with_itself() -> None:
    def plane(x: float) -> NDArray[np.float32]:  # z = 4 + 0.3 X of the world
        slope = (np.arange(SIZE[1]) - CAMERA.cx) / CAMERA.fx
        return np.tile(((4 + 0.3 * x) / (1 - 0.3 * slope)).astype(np.float32), (SIZE[0], 1))

    right = tae([plane(0.0), plane(0.2)], [at(0.0), at(0.2)], CAMERA)
    wrong_way = tae([plane(0.0), plane(0.2)], [at(0.2), at(0.0)], CAMERA)
    assert right < 0.15  # rounding to pixels
    assert wrong_way > 2


def test_turning_by_a_quaternion_and_by_the_matrix_it_means() -> None:
    half = np.sqrt(0.5)
    quarter_turn = pose_matrix((1, 2, 3), (0, half, 0, half))  # about y: z looks along x
    np.testing.assert_allclose(quarter_turn[:3, 2], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(quarter_turn[:3, 3], [1, 2, 3])
    np.testing.assert_allclose(quarter_turn[:3, :3] @ quarter_turn[:3, :3].T, np.eye(3), atol=1e-12)


def test_invalid_and_masked_pixels_do_not_count() -> None:
    later = wall(4)
    later[:24] = 40.0
    mask = np.ones(SIZE, bool)
    mask[:24] = False
    assert reprojection_error(wall(4), later, np.eye(4), CAMERA) == pytest.approx(0.45)
    assert reprojection_error(wall(4), later, np.eye(4), CAMERA, mask) == 0.0
    later[:24] = 0.0
    assert reprojection_error(wall(4), later, np.eye(4), CAMERA) == 0.0


def test_what_lies_behind_the_camera_or_beside_the_picture_is_left_out() -> None:
    past_the_wall = np.linalg.inv(at(z=5))
    assert reprojection_error(wall(4), wall(4), past_the_wall, CAMERA) is None
    beside = np.linalg.inv(at(x=100))
    assert reprojection_error(wall(4), wall(4), beside, CAMERA) is None


def test_frames_that_share_nothing_are_no_perfect_pair() -> None:
    # The step of the first pair has 25% both ways; from the third place nothing is shared.
    poses = [at(z=0), at(z=1), at(x=100, z=1)]
    assert tae([wall(4)] * 3, poses, CAMERA) == pytest.approx(25.0)
    with pytest.raises(ValueError, match="no frame shows"):
        tae([wall(4)] * 2, [at(), at(x=100)], CAMERA)


@pytest.mark.parametrize(
    "numbers", [[math.nan] * 7, [0, 0, math.inf, 0, 0, 0, 1], [1, 2, 3, 0, 0, 0, 0]]
)
def test_numbers_that_are_no_pose(numbers: list[float]) -> None:
    assert usable_pose(numbers) is None


def test_a_pose_has_seven_numbers() -> None:
    pose = usable_pose([1, 2, 3, 0, 0, 0, 2])
    assert pose is not None
    np.testing.assert_allclose(pose, pose_matrix((1, 2, 3), (0, 0, 0, 1)))
    with pytest.raises(ValueError, match="6 numbers"):
        usable_pose([0, 0, 0, 0, 0, 1])


def test_lists_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="two frames"):
        tae([wall(4)], [at()], CAMERA)
    with pytest.raises(ValueError, match="its pose"):
        tae([wall(4), wall(4)], [at()], CAMERA)

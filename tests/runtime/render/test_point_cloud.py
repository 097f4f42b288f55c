"""Point clouds of images, and the PLY files that they become."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from depthrt import UsageError
from depthrt.depth import Depth
from depthrt.frame import YuvImage, to_rgb
from depthrt.render.camera import Intrinsics
from depthrt.render.point_cloud import CloudOptions, PointCloud, point_cloud
from helpers.files.ply import read_ply

SIZE = (60, 80)  # of the image; the depth map is half as large
CAMERA = Intrinsics(70, 70, 41, 30)


def slope() -> Depth:
    """What a floor 1.5 m below the camera, tilted by y = 1.5 - 0.1 z, is as metric depth."""
    small = CAMERA.scaled(SIZE, (30, 40))
    down = (np.arange(30) - small.cy) / small.fy
    z = 1.5 / (down + 0.1)
    return Depth(np.repeat(z[:, None], 40, 1).astype(np.float32), "depth", "m", SIZE)


def test_a_floor_is_flat() -> None:
    options = CloudOptions(intrinsics=CAMERA, span=(0.5, 50))
    image = np.zeros((*SIZE, 3), np.uint8)
    cloud = point_cloud(image, slope(), options)
    assert 500 < len(cloud.xyz) < 30 * 40  # above the horizon there is no floor
    x, y, z = cloud.xyz.T.astype(np.float64)
    assert y == pytest.approx(1.5 - 0.1 * z, abs=1e-4)
    assert (z >= 0.5).all()
    assert (z <= 50).all()
    assert x.min() < 0 < x.max()


def test_nothing_hangs_between_a_near_and_a_far_surface() -> None:
    z = np.full((30, 40), 8, np.float32)
    z[:, :20] = 2
    z[:, 19:22] = (3.5, 5, 6.5)  # as a network smooths the step
    z[0, 0] = np.nan
    image = np.zeros((*SIZE, 3), np.uint8)
    depth = Depth(z, "depth", "m", SIZE)
    cloud = point_cloud(image, depth, CloudOptions(fov_deg=90, edge=0.1))
    assert np.unique(cloud.xyz[:, 2]).tolist() == [2, 8]
    assert len(cloud.xyz) == 30 * 37 - 1
    whole = point_cloud(image, depth, CloudOptions(fov_deg=90))
    assert len(whole.xyz) == 30 * 40 - 1
    with pytest.raises(UsageError, match="--edge 0 is not above 0"):
        CloudOptions(edge=0)


def test_points_have_the_colours_of_what_they_show() -> None:
    image = np.zeros((*SIZE, 3), np.uint8)
    image[:, :40] = (200, 30, 10)
    image[:, 40:] = (10, 30, 200)
    depth = Depth(np.full((30, 40), 2, np.float32), "depth", "m", SIZE)
    cloud = point_cloud(image, depth, CloudOptions(fov_deg=90))
    left = cloud.xyz[:, 0] < 0
    assert left.sum() == 600
    assert np.unique(cloud.rgb[left], axis=0).tolist() == [[200, 30, 10]]
    assert np.unique(cloud.rgb[~left], axis=0).tolist() == [[10, 30, 200]]
    # 90 degrees wide at 2 m: the outermost pixels' middles are half a pixel of 4 m / 40 inside.
    assert cloud.xyz[:, 0].max() == pytest.approx(1.95)


def test_decoded_video_has_the_same_colours_as_rgb() -> None:
    rng = np.random.default_rng(0)
    planes = [rng.integers(60, 180, (side, side), np.uint8) for side in (16, 8, 8)]
    image = YuvImage(*planes)
    depth = Depth(np.ones((16, 16), np.float32), "depth", "m", (16, 16))
    np.testing.assert_array_equal(point_cloud(image, depth).rgb, to_rgb(image).reshape(-1, 3))


def test_a_file_holds_the_cloud_to_the_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    cloud = PointCloud(
        rng.normal(size=(17, 3)).astype(np.float32), rng.integers(0, 255, (17, 3), np.uint8)
    )
    (tmp_path / "cloud.ply").write_bytes(cloud.to_ply(("seen by café", "two\nlines")))
    read = read_ply(tmp_path / "cloud.ply")
    np.testing.assert_array_equal(read.xyz, cloud.xyz)
    np.testing.assert_array_equal(read.rgb, cloud.rgb)
    assert read.comments == ["seen by caf?", "two lines"]


def test_what_was_assumed_is_said() -> None:
    said = CloudOptions().assumed(metric=False)
    assert "60 degrees" in said
    assert "from 1 to 10" in said
    assert "--near" in said
    assert "--near" not in CloudOptions().assumed(metric=True)
    assert CloudOptions(span=(1, 2)).assumed(metric=False).startswith("the points assume a view")
    assert CloudOptions(fov_deg=70, span=(1, 2)).assumed(metric=False) == ""


def test_two_cameras_are_one_too_many() -> None:
    with pytest.raises(UsageError, match="give one"):
        CloudOptions(fov_deg=60, intrinsics=CAMERA)

"""Points in space: cameras, distances, and the planes that they must lie in."""

from __future__ import annotations

import math

import numpy as np
import pytest

from depthrt import UsageError
from depthrt.depth import Depth
from depthrt.render.camera import Intrinsics, distances, unproject
from depthrt.spec import Kind, Unit

SIZE = (48, 64)


def depth_of(values: object, kind: Kind = "depth", unit: Unit | None = "m") -> Depth:
    return Depth(np.array(values, np.float32), kind, unit, SIZE)


def rays(camera: Intrinsics, size: tuple[int, int]) -> np.ndarray:
    """Where every pixel looks: H,W,3 with 1 along the axis."""
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float64)
    return np.stack(
        [(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones(size)], axis=-1
    )


@pytest.mark.parametrize("fov_deg", [30.0, 60.0, 90.0, 120.0])
def test_a_field_of_view_is_that_of_the_outer_edges(fov_deg: float) -> None:
    camera = Intrinsics.from_fov(fov_deg, SIZE)
    left, right = ((edge - camera.cx) / camera.fx for edge in (-0.5, SIZE[1] - 0.5))
    assert math.degrees(math.atan(right) - math.atan(left)) == pytest.approx(fov_deg)
    assert left == pytest.approx(-right)
    assert (camera.fy, camera.cy) == (camera.fx, (SIZE[0] - 1) / 2)


def test_a_resized_image_is_seen_by_the_same_camera() -> None:
    camera = Intrinsics(50, 60, 30, 20)
    small = camera.scaled(SIZE, (12, 32))
    for x, y in ((-0.5, -0.5), (10.0, 3.0), (63.5, 47.5)):
        on_small = ((x + 0.5) / 2 - 0.5, (y + 0.5) / 4 - 0.5)
        assert (on_small[0] - small.cx) / small.fx == pytest.approx((x - camera.cx) / camera.fx)
        assert (on_small[1] - small.cy) / small.fy == pytest.approx((y - camera.cy) / camera.fy)
    back = small.scaled((12, 32), SIZE)
    for ours, theirs in ((back.fx, 50), (back.fy, 60), (back.cx, 30), (back.cy, 20)):
        assert ours == pytest.approx(theirs)


@pytest.mark.parametrize("fov_deg", [0.0, -3.0, 180.0, math.nan, math.inf])
def test_impossible_angles_are_refused(fov_deg: float) -> None:
    with pytest.raises(UsageError, match="is no angle between 0 and 180 degrees"):
        Intrinsics.from_fov(fov_deg, SIZE)


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "0,1,2,3", "1,nan,0,0"])
def test_intrinsics_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--intrinsics"):
        Intrinsics.parse(text)
    assert Intrinsics.parse("500, 501,320,240") == Intrinsics(500, 501, 320, 240)


def test_a_tilted_plane_comes_out_as_that_plane() -> None:
    """n.p = d: every ray meets it at the distance d / n.ray along the axis."""
    camera, normal, offset = Intrinsics(40, 44, 30, 25), np.array([0.2, -0.9, 0.51]), 1.7
    towards = rays(camera, SIZE) @ normal
    z = np.where(towards > 0.05, offset / np.maximum(towards, 0.05), np.nan)
    points = unproject(z.astype(np.float32), camera)
    assert points.dtype == np.float32
    seen = points[np.isfinite(z)]
    assert 500 < len(seen) < z.size
    assert seen @ normal == pytest.approx(np.full(len(seen), offset), rel=1e-3)


def test_metric_depth_is_taken_as_it_is() -> None:
    depth = depth_of([[0.5, 2.0], [-1.0, 0.0]])
    np.testing.assert_array_equal(distances(depth), [[0.5, 2.0], [np.nan, np.nan]])
    np.testing.assert_array_equal(
        distances(depth, (0, 9), (1.0, 3.0)), [[np.nan, 2.0], [np.nan, np.nan]]
    )
    inverse = depth_of([[0.5, 2.0], [-1.0, 0.0]], "inverse_depth")
    np.testing.assert_array_equal(distances(inverse), [[2.0, 0.5], [np.nan, np.nan]])


def test_relative_inverse_depth_is_linear_in_one_over_distance() -> None:
    truth = np.array([[2.0, 2.5, 4.0, 8.0]])
    depth = depth_of(7 / truth + 3, "inverse_depth", None)
    np.testing.assert_allclose(distances(depth, None, (2.0, 8.0)), truth, rtol=1e-5)
    middle = distances(depth, (7 / 4 + 3, 7 / 2.5 + 3), (2.5, 4.0))
    np.testing.assert_allclose(middle, [[2.5, 2.5, 4.0, 4.0]], rtol=1e-5)  # put at the ends
    assert distances(depth)[0, [0, -1]] == pytest.approx([1.0, 10.0])


def test_relative_depth_is_linear_in_distance() -> None:
    truth = np.array([[2.0, 2.5, 4.0, 8.0]])
    depth = depth_of(7 * truth - 30, "depth", None)
    np.testing.assert_allclose(distances(depth, None, (2.0, 8.0)), truth, rtol=1e-5)


def test_a_flat_map_has_one_distance() -> None:
    z = distances(depth_of(np.full((3, 4), 5.0), "inverse_depth", None))
    assert np.unique(z).tolist() == [10.0]


@pytest.mark.parametrize("span", [(0.0, 1.0), (2.0, 2.0), (3.0, 1.0), (1.0, math.inf)])
def test_spans_that_are_none_are_refused(span: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="near < far"):
        distances(depth_of([[1.0]]), None, span)

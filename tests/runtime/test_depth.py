"""Depth maps in other hands."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from depthrt import UsageError, colourise
from depthrt.depth import Depth
from depthrt.spec import Kind, Unit

RAMP = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize(
    ("kind", "unit", "values", "expected"),
    [
        ("depth", "m", RAMP, ("depth_m", RAMP)),
        ("inverse_depth", "m", RAMP + 1, ("depth_m", 1 / (RAMP + 1))),
        ("inverse_depth", None, RAMP, ("relative_inverse", RAMP)),
        ("inverse_depth", None, RAMP - 5, ("relative_inverse", RAMP)),
        ("depth", None, RAMP + 1, ("relative_inverse", 1 / (RAMP + 1))),
    ],
)
def test_supervision_gets_what_the_depth_means(
    kind: Kind, unit: Unit | None, values: np.ndarray, expected: tuple[str, np.ndarray]
) -> None:
    pytest.importorskip("supervision")
    shown = Depth(values, kind, unit, (3, 4)).to_supervision()
    assert shown.kind.value == expected[0]
    np.testing.assert_allclose(shown.values, expected[1], rtol=1e-6)
    np.testing.assert_array_equal(shown.valid_mask, (expected[1] > 0) | (unit is None))


def test_supervision_measures_detections_in_the_image() -> None:
    sv = pytest.importorskip("supervision")
    values = np.array([[2.0, 8.0]], np.float32)  # near on the left, far on the right
    depth = Depth(np.repeat(values, 2, axis=0), "depth", "m", (100, 200))
    boxes = sv.Detections(xyxy=np.array([[0, 0, 40, 100], [160, 0, 200, 100]], float))
    measured = depth.to_supervision().measure_detections(boxes)
    assert measured.data["depth_m"] == pytest.approx([2.0, 8.0])


def test_no_distance_is_none_to_supervision_either() -> None:
    pytest.importorskip("supervision")
    shown = Depth(np.array([[0.0, -2.0, 4.0]], np.float32), "inverse_depth", "m", (1, 3))
    np.testing.assert_array_equal(shown.to_supervision().values, [[np.nan, np.nan, 0.25]])


def test_without_supervision_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(UsageError, match="pip install supervision"):
        Depth(RAMP, "depth", "m", (3, 4)).to_supervision()


def test_constant_depth_has_one_colour_and_a_range_of_nothing_is_refused() -> None:
    depth = Depth(np.full((4, 6), 2.5, np.float32), "inverse_depth", None, (8, 12))
    for low in (2.5, np.float32(2.5)):
        picture = colourise(depth, (low, low))
        assert picture.shape == (8, 12, 3)
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 1
    for wrong in ((3.0, 2.0), (float("nan"), 1.0), (0.0, float("inf"))):
        with pytest.raises(UsageError, match="the display range"):
            colourise(depth, wrong)


def test_a_kind_may_be_written_as_on_the_command_line() -> None:
    depth = Depth(RAMP, "inverse-depth", None, (3, 4), "keep-aspect")  # type: ignore[arg-type]
    assert (depth.kind, depth.resize, depth.larger_is) == (
        "inverse_depth", "keep_aspect", "nearer",
    )  # fmt: skip

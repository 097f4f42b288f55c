"""What features say of pictures and of depth."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt.depth import Depth
from depthrt.monitor.features import (
    FEATURES,
    correction,
    depth_features,
    flicker,
    look_at,
    picture_features,
)
from depthrt.spec import Kind

SIZE = (96, 128)


@pytest.fixture
def street() -> NDArray[np.uint8]:
    """A bright, bluish upper half over a dark, textured, reddish lower one: 3,h,w."""
    random = np.random.default_rng(0)
    picture = np.empty((3, *SIZE), np.uint8)
    picture[:, :48] = np.array([120, 150, 200])[:, None, None]
    picture[:, 48:] = np.array([90, 60, 50])[:, None, None]
    picture[:, 48:] += random.integers(0, 60, (1, 48, 128), np.uint8)
    return picture


def ramp(kind: Kind = "inverse_depth") -> Depth:
    """Depth that comes nearer from top to bottom, 0 to 1 of inverse depth."""
    values = np.repeat(np.linspace(0, 1, SIZE[0], dtype=np.float32)[:, None], SIZE[1], axis=1)
    return Depth(values if kind == "inverse_depth" else 1 - values, kind, None, SIZE)


def test_brightness_colour_and_gradient(street: NDArray[np.uint8]) -> None:
    found = picture_features(street)
    assert found["brightness"] == pytest.approx(street.mean() / 255, abs=0.01)
    assert found["contrast"] == pytest.approx(street[1].std() / 255)
    difference = street[0].astype(float).mean() - street[2].astype(float).mean()
    assert found["red_minus_blue"] == pytest.approx(difference / 255, abs=0.01)
    assert found["saturation"] == pytest.approx((80 + 40) / 2 / 255, abs=0.01)
    assert found["top_minus_bottom"] > 0.2
    assert found["flat_share"] == pytest.approx(5 / 12)  # the step is no flat row


def test_each_corruption_moves_its_feature(street: NDArray[np.uint8]) -> None:
    usual = picture_features(street)
    turned = picture_features(street[:, ::-1, ::-1].copy())
    swapped = picture_features(street[::-1].copy())
    dark = picture_features((street // 3).astype(np.uint8))
    blurred = np.stack([cv2.GaussianBlur(plane, (0, 0), 2) for plane in street])
    assert turned["top_minus_bottom"] == pytest.approx(-usual["top_minus_bottom"], abs=0.01)
    assert swapped["red_minus_blue"] == pytest.approx(-usual["red_minus_blue"])
    assert swapped["brightness"] == pytest.approx(usual["brightness"])
    assert dark["brightness"] == pytest.approx(usual["brightness"] / 3, abs=0.01)
    assert dark["sharpness"] == pytest.approx(usual["sharpness"], abs=0.1)
    assert picture_features(blurred.astype(np.uint8))["sharpness"] < usual["sharpness"] - 0.8


def test_depth_of_both_kinds_says_the_same_of_nearness() -> None:
    inverse, metric = depth_features(ramp()), depth_features(ramp("depth"))
    for name in ("depth_quartile", "depth_median", "depth_bottom_nearer", "depth_edge_share"):
        assert inverse[name] == pytest.approx(metric[name], abs=0.01)
    assert inverse["depth_bottom_nearer"] == pytest.approx(0.52, abs=0.02)
    assert inverse["depth_median"] == pytest.approx(0.5, abs=0.01)
    assert inverse["depth_quartile"] == pytest.approx(0.24, abs=0.01)
    assert inverse["depth_spread"] == pytest.approx(np.log10(0.96), abs=0.01)
    turned = Depth(ramp().values[::-1].copy(), "inverse_depth", None, SIZE)
    assert depth_features(turned)["depth_bottom_nearer"] == pytest.approx(-0.52, abs=0.02)


def test_what_is_not_finite_or_not_valid_is_counted_and_left_out() -> None:
    values = ramp().values.copy()
    values[:24] = np.nan
    valid = np.ones(SIZE, np.bool_)
    valid[72:] = False
    found = depth_features(Depth(values, "inverse_depth", None, SIZE, valid=valid))
    assert found["depth_unusable"] == pytest.approx(0.5)
    assert found["depth_spread"] == pytest.approx(np.log10(0.5 * 0.96), abs=0.02)
    nothing = Depth(np.full(SIZE, np.nan, np.float32), "depth", "m", SIZE)
    assert depth_features(nothing) == {"depth_unusable": 1.0}


def test_flicker_is_change_of_depth_without_change_of_the_picture(
    street: NDArray[np.uint8],
) -> None:
    values = ramp().values
    first = look_at(street, values)
    assert flicker(first, look_at(street, values)) == 0
    assert flicker(first, look_at(street, values + np.float32(0.048))) == pytest.approx(
        0.048 / 0.96, abs=2e-3
    )
    assert flicker(first, look_at(255 - street, values)) is None
    assert flicker(first, look_at(street[:, :48], values[:48])) is None


def test_correction_is_what_stabilising_changed() -> None:
    raw = ramp().values
    assert correction(raw, raw) == 0
    assert correction(raw, raw + np.float32(0.096)) == pytest.approx(0.1, abs=5e-3)


@pytest.mark.parametrize("size", [(192, 640), (518, 700), (32, 40), (7, 9)])
def test_any_size(size: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    picture = random.integers(0, 256, (3, *size), np.uint8)
    depth = Depth(random.random(size, np.float32), "inverse_depth", None, size)
    found = {**picture_features(picture), **depth_features(depth)}
    assert set(found) == set(FEATURES) - {"flicker", "correction", "shadow_error", "smear"}
    assert np.isfinite(list(found.values())).all()

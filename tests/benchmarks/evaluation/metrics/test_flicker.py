"""Flicker: figures that follow from how the depth was disturbed."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt_benchmarks.evaluation.metrics.flicker import FlickerMeter, flicker, pair_flicker
from depthrt_benchmarks.evaluation.metrics.motion import correspondence

SIZE = (96, 128)


def texture(shift: int = 0, seed: int = 1) -> NDArray[np.uint8]:
    """A smooth random RGB picture, a window of a wider one moved right by ``shift`` pixels."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (24, 48, 3)).astype(np.uint8)
    wide = cv2.resize(coarse, (256, SIZE[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(wide[:, 64 - shift : 64 - shift + SIZE[1]], np.uint8)


def ramp(shift: int = 0) -> NDArray[np.float32]:
    """Depth 2..4 that grows to the right, moved with :func:`texture`."""
    columns = np.arange(SIZE[1]) + 64 - shift
    return np.tile((1 + columns / 128).astype(np.float32), (SIZE[0], 1))


def test_depth_that_stays_has_no_flicker() -> None:
    found = flicker([(texture(), ramp())] * 3)
    assert found is not None
    assert (found.pairs, found.skipped, found.worst_median) == (2, 0, 0.0)
    assert found.mean.median == found.mean.p95 == found.mean.median_of_spread == 0.0
    assert found.mean.share == 1.0


def test_a_jump_of_scale_is_its_logarithm() -> None:
    found = flicker([(texture(), ramp()), (texture(), ramp() * np.float32(1.1))])
    assert found is not None
    assert found.mean.median == pytest.approx(math.log(1.1), rel=1e-4)
    assert found.mean.p95 == pytest.approx(math.log(1.1), rel=1e-4)


def test_the_share_of_the_spread_does_not_see_scale_and_shift_of_the_whole_clip() -> None:
    rng = np.random.default_rng(2)
    noisy = [ramp() + rng.normal(0, 0.05, SIZE).astype(np.float32) for _ in range(3)]
    plain = flicker([(texture(), values) for values in noisy])
    moved = flicker([(texture(), values * 3 + 7) for values in noisy])
    assert plain is not None
    assert moved is not None
    assert moved.mean.median_of_spread == pytest.approx(plain.mean.median_of_spread, rel=1e-3)
    assert moved.mean.median < 0.6 * plain.mean.median


def test_five_hundredths_of_the_pixels_jumping_moves_the_95th_percentile_alone() -> None:
    later = ramp()
    later[:, :8] *= 2  # 8 of 128 columns: 6.25%
    found = flicker([(texture(), ramp()), (texture(), later)])
    assert found is not None
    assert found.mean.median == 0.0
    assert found.mean.p95 == pytest.approx(math.log(2), rel=1e-4)


def test_depth_that_moves_with_the_picture_does_not_flicker_and_frozen_depth_does() -> None:
    meter = FlickerMeter()
    for step in range(4):
        shift = 6 * step
        meter.add(texture(shift), {"following": ramp(shift), "frozen": ramp()})
    following, frozen = meter.result("following"), meter.result("frozen")
    assert following is not None
    assert frozen is not None
    assert following.mean.share > 0.8
    assert following.mean.median < 0.002
    # A step of 6 columns is 6/128 of depth 1.5 to 2.5.
    assert 0.018 < frozen.mean.median < 0.032


def test_far_values_are_raised_so_that_zero_has_a_logarithm() -> None:
    before, after = ramp(), ramp()
    before[:, :64], after[:, :64] = 0.0, 1e-6
    found = pair_flicker(before, after, correspondence(texture(), texture()))
    assert found is not None
    assert found.p95 == 0.0


def test_a_scene_cut_is_skipped() -> None:
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    found = flicker([(texture(), ramp()), (texture(), ramp()), (noise, ramp() * 2)])
    assert found is not None
    assert (found.pairs, found.skipped, found.mean.median) == (1, 1, 0.0)


def test_one_frame_has_no_flicker_to_measure() -> None:
    assert flicker([(texture(), ramp())]) is None
    assert flicker([]) is None


def test_motion_is_found_and_covered_pixels_are_not_trusted() -> None:
    before, after = texture(), texture(5)
    after[30:60, 40:80] = 255 - after[30:60, 40:80]  # something else came into view
    motion = correspondence(before, after)
    columns = np.tile(np.arange(SIZE[1]), (SIZE[0], 1))
    good = motion.trusted[:20]
    assert good.mean() > 0.8
    assert np.abs(columns[:20] - motion.column[:20] - 5)[good].max() < 0.7
    assert motion.trusted[32:58, 42:78].mean() < 0.15

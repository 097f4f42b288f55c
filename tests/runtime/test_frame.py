"""Frames as users see them: RGB when asked for, floats for times."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from depthrt import DepthModel, Frame, YuvImage, open_source, stream, to_rgb


def test_the_image_of_a_decoded_frame_is_rgb(make_clip: Callable[..., Path]) -> None:
    frame = next(iter(open_source(make_clip()).frames()))
    assert isinstance(frame.pixels, YuvImage)
    assert (frame.image.dtype, frame.image.shape) == (np.uint8, (48, 64, 3))
    np.testing.assert_array_equal(frame.image, to_rgb(frame.pixels))
    assert frame.image is frame.image, "it is made once"


def test_planar_yuv_is_an_rgb_array_to_numpy(make_clip: Callable[..., Path]) -> None:
    frame = next(iter(open_source(make_clip()).frames()))
    array = np.asarray(frame.pixels)
    np.testing.assert_array_equal(array, frame.image)
    assert np.asarray(frame.pixels, np.float32).dtype == np.float32
    assert np.stack([frame.pixels, frame.pixels]).shape == (2, 48, 64, 3)
    with pytest.raises(ValueError, match="by a copy only"):
        frame.pixels.__array__(copy=False)  # type: ignore[union-attr]


def test_grey_stays_grey_and_colours_keep_their_place() -> None:
    y = np.full((4, 6), 126, np.uint8)
    neutral = np.full((2, 3), 128, np.uint8)
    grey = YuvImage(y, neutral, neutral)
    assert set(to_rgb(grey).ravel()) == {128}  # (126 - 16) * 255 / 219, ITU-R BT.709-6
    red = YuvImage(y, neutral, np.full((2, 3), 240, np.uint8))
    assert (to_rgb(red)[..., 0] > 250).all()
    assert (to_rgb(red)[..., 2] == 128).all()


def test_times_are_floats_with_the_exact_fraction_beside_them() -> None:
    frame = Frame(np.zeros((2, 2, 3), np.uint8), 1, Fraction(1001, 30000), "", Fraction(1, 3))
    assert frame.time_s == 1001 / 30000
    assert type(frame.time_s) is float
    assert frame.exact_time_s == Fraction(1001, 30000)
    assert (frame.duration_s, frame.exact_duration_s) == (1 / 3, Fraction(1, 3))
    assert Frame(frame.pixels, 0, Fraction(0)).duration_s is None


def test_results_of_a_clip_have_rgb_pictures(
    make_clip: Callable[..., Path], model: DepthModel
) -> None:
    clip = make_clip(frames=4)
    pictures = [frame.image for frame in open_source(clip).frames()]
    with stream(clip, model) as results:
        for result, picture in zip(results, pictures, strict=True):
            np.testing.assert_array_equal(result.frame.image, picture)
            assert result.depth.larger_is == "nearer"
            assert result.depth.at_image_size().shape == picture.shape[:2]

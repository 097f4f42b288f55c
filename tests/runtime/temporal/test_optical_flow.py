"""Thumbnails, and the flow that is found on them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt import Stabiliser
from depthrt.temporal.optical_flow import OpticalFlow, grey_thumbnail, thumbnail_size


def textured(height: int, width: int, seed: int = 3) -> NDArray[np.uint8]:
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 16, 3)).astype(np.uint8)
    fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(fine.transpose(2, 0, 1))


@pytest.mark.parametrize("shape", [(224, 288), (518, 518), (225, 290), (100, 130)])
def test_a_pixel_of_a_thumbnail_is_the_mean_of_a_block(shape: tuple[int, int]) -> None:
    pixels = textured(*shape)
    columns, rows = thumbnail_size(shape)
    block = shape[0] // rows
    whole = pixels[:, : rows * block, : columns * block].astype(np.float64)
    red, green, blue = whole.reshape(3, rows, block, columns, block).mean((2, 4))
    grey = 0.6 * green + 0.4 * (0.7 * red + 0.3 * blue)
    assert np.abs(grey_thumbnail(pixels, (columns, rows)) - grey).max() < 2


def test_a_size_that_is_no_whole_part_covers_the_whole_picture() -> None:
    pixels = textured(100, 130)
    pixels[:, -8:] = 0
    assert grey_thumbnail(pixels, (100, 75))[-5:].max() == 0


def test_flow_finds_a_shift_where_a_row_is_cut_off() -> None:
    pixels = textured(225, 290)
    size = thumbnail_size((225, 290))
    moved = np.roll(pixels, 6, axis=2)
    place, trust = OpticalFlow().follow(grey_thumbnail(pixels, size), grey_thumbnail(moved, size))
    columns = np.arange(size[0])
    inner = (slice(20, -20), slice(20, -20))
    assert np.median((place[..., 0] - columns)[inner]) == pytest.approx(-3, abs=0.2)
    assert trust[inner].mean() > 0.9


def test_the_stabiliser_takes_a_thumbnail_that_is_known() -> None:
    pixels, depth = textured(96, 160), np.linspace(1, 2, 96 * 160, dtype=np.float32)
    maps = [(depth + noise).reshape(96, 160) for noise in (0.0, 0.1, 0.0)]
    grey = grey_thumbnail(pixels, thumbnail_size((96, 160)))
    alone, shared = Stabiliser(), Stabiliser()
    for values in maps:
        given = shared.update(values.copy(), pixels, grey=grey)
        assert np.array_equal(given, alone.update(values.copy(), pixels))

"""What a view draws of pictures that are RGB."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt.depth import Depth
from depthrt.render.views import Canvas, View, compose

HEIGHT, WIDTH = 32, 48


def drawn(image: NDArray[np.uint8], view: View) -> NDArray[np.uint8]:
    """The left picture of a view, as RGB by another reader of YUV."""
    canvas = Canvas.of(image, view, "inferno")
    height, width = canvas.size
    planes = (
        np.empty((height, width), np.uint8),
        np.empty((height // 2, width // 2), np.uint8),
        np.empty((height // 2, width // 2), np.uint8),
    )
    values = np.zeros((HEIGHT, WIDTH), np.float32)
    depth = Depth(values, "inverse_depth", None, (HEIGHT, WIDTH))
    compose(image, depth, (0.0, 1.0), canvas, planes)
    y, u, v = (plane[:, : plane.shape[1] // (2 if view == "side" else 1)] for plane in planes)
    packed = np.concatenate([y.ravel(), u.ravel(), v.ravel()]).reshape(-1, y.shape[1])
    return np.asarray(cv2.cvtColor(packed, cv2.COLOR_YUV2RGB_I420), np.uint8)


@pytest.mark.parametrize("column", [0, 1])
def test_colour_is_the_mean_of_its_pixels(column: int) -> None:
    """Thin red lines on grey look alike whether they fall on even or on odd columns."""
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    image[:, column::2] = (200, 60, 60)
    seen = drawn(image, "side").astype(float).mean(axis=(0, 1))
    assert np.abs(seen - image.mean(axis=(0, 1))).max() < 3


def test_plain_colours_stay_what_they_are() -> None:
    for colour in (
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (255, 255, 255),
        (0, 0, 0),
        (90, 160, 40),
    ):
        image = np.full((HEIGHT, WIDTH, 3), colour, np.uint8)
        seen = drawn(image, "side").astype(int)
        assert np.abs(seen - image).max() <= 3, colour

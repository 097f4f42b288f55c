"""Scenes whose motion is known: textures that move before one another, 3,h,w and H,W,3."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SIZE = (96, 128)
_MARGIN = 64


def texture(seed: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """A picture H,W,3 with detail at several scales, wide enough to be panned over."""
    rng = np.random.default_rng(seed)
    height, width = size[0] + 2 * _MARGIN, size[1] + 2 * _MARGIN
    total = np.zeros((height, width, 3), np.float32)
    for cells, weight in ((6, 1.0), (20, 0.6), (60, 0.3)):
        noise = rng.random((cells, cells, 3), np.float32)
        total += weight * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    low, high = float(total.min()), float(total.max())
    return np.asarray(255 * (total - low) / (high - low), np.uint8)


def panned(
    scene: NDArray[np.uint8], shift: float, size: tuple[int, int] = SIZE
) -> NDArray[np.uint8]:
    """The part of a texture that a camera sees which has moved right by so many pixels."""
    matrix = np.array([[1, 0, -_MARGIN - shift], [0, 1, -_MARGIN]], np.float64)
    return np.asarray(cv2.warpAffine(scene, matrix, size[::-1], flags=cv2.INTER_LINEAR), np.uint8)


def zoomed(
    scene: NDArray[np.uint8], factor: float, size: tuple[int, int] = SIZE
) -> NDArray[np.uint8]:
    """The part of a texture that a camera sees whose focal length has grown by a factor."""
    height, width = size
    middle = np.array([scene.shape[1] / 2, scene.shape[0] / 2])
    offset = np.array([width / 2, height / 2]) - factor * middle
    matrix = np.array([[factor, 0, offset[0]], [0, factor, offset[1]]], np.float64)
    return np.asarray(cv2.warpAffine(scene, matrix, size[::-1], flags=cv2.INTER_LINEAR), np.uint8)


def with_object(image: NDArray[np.uint8], left: int, seed: int = 9) -> NDArray[np.uint8]:
    """The picture with a bright textured square of 32 pixels before it, its left side there."""
    found = image.copy()
    square = 128 + texture(seed, (32, 32))[_MARGIN : _MARGIN + 32, _MARGIN : _MARGIN + 32] // 2
    first, last = max(0, left), min(image.shape[1], left + 32)
    found[32:64, first:last] = square[:, first - left : last - left]
    return found

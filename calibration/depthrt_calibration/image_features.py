"""Image features for the choice of calibration frames: one small vector per frame.

The ranges of a network's tensors depend on brightness, contrast, colour and edges and on their
position, and less on the objects shown. So the feature vector of a frame holds

- an 8x8 thumbnail in CIE Lab, where Euclidean distance is close to perceived difference;
- the square root of the mean gradient in the same 8x8 cells; the root makes weak textures count
  beside strong edges;
- mean brightness, contrast and mean edge strength of the whole frame.

Every part is scaled to about 0..1 and divided by the square root of its length: the Euclidean
distance of two vectors is a root mean square, 0 for equal frames, about 0.1 to 0.5 between
pictures of different places. It needs no trained network and takes 0.2 ms per frame.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Feature = NDArray[np.float32]  # F

NEAR_DUPLICATE = 0.03  # a smaller distance changes no range noticeably
FAMILY = (
    "8x8 Lab thumbnail, 8x8 root mean gradient, mean brightness, contrast and edges; "
    "root mean square distance"
)

_CELLS = 8
_LARGEST = 192  # pixels on the longest side that gradients are taken at
_BLANK_STD = 3.0  # of 255; a lens cap, a fade, a plain test card
_BLACK_MEAN, _BLACK_STD = 16.0, 8.0  # of 255; video black is 16 before expansion, plus noise


def feature(pixels: NDArray[np.uint8]) -> Feature:
    """The feature vector of a picture (uint8 RGB 3,h,w): float32, 259 numbers."""
    image = _at_most(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2Lab) / 100
    light = lab[..., 0]
    across, down = cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1)
    edges = np.asarray(cv2.magnitude(across, down) / 4, np.float32)
    cells = _shrunk(np.asarray(lab, np.float32)).ravel() / _CELLS
    edge_cells = np.sqrt(np.maximum(_shrunk(edges), 0)).ravel() / _CELLS
    whole = [light.mean(), light.std(), np.sqrt(edges.mean())]
    return np.concatenate([cells, edge_cells, np.asarray(whole, np.float32)]).astype(np.float32)


def emptiness(pixels: NDArray[np.uint8]) -> str:
    """``black`` (dark and flat), ``blank`` (of one colour), or an empty string if usable.

    Night scenes are usable: they are dark, but not flat.
    """
    image = _at_most(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    mean = float(image.mean())
    spread = float(image.reshape(-1, 3).std(axis=0).max())  # a plain red field is blank, not black
    if mean < _BLACK_MEAN and spread < _BLACK_STD:
        return "black"
    return "blank" if spread < _BLANK_STD else ""


def distances(features: NDArray[np.float32], one: Feature) -> NDArray[np.float32]:
    """Euclidean distances of features N,F to one: float32 N."""
    return np.asarray(np.linalg.norm(features - one, axis=1), np.float32)


def _at_most(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    ratio = _LARGEST / max(image.shape[:2])
    if ratio >= 1:
        return image
    size = max(1, round(image.shape[1] * ratio)), max(1, round(image.shape[0] * ratio))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _shrunk(values: NDArray[np.float32]) -> NDArray[np.float32]:
    small = cv2.resize(values, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)

"""What goes wrong with a camera or a model, as functions of a picture, and a worse model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]  # H,W,3
Corruption = Callable[[Picture], Picture]

WORSE_MODEL = "worse model"
_NOISE = 0.08  # of each weight tensor's standard deviation


def as_it_is(picture: Picture) -> Picture:
    """No corruption."""
    return picture


def darkened(picture: Picture) -> Picture:
    """A quarter of the light, as a camera records it (gamma 2.2), and the noise that comes with it.

    The noise is the same for the same picture.
    """
    random = np.random.default_rng(int(picture[::64, ::64].sum()))
    dark = picture.astype(np.float32) * (0.25 ** (1 / 2.2))
    noise = random.standard_normal(picture.shape[:2]).astype(np.float32)
    return np.asarray(np.clip(dark + 3 * noise[..., None], 0, 255), np.uint8)


def blurred(picture: Picture) -> Picture:
    """Out of focus: a Gaussian of 0.8% of the width."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.008 * picture.shape[1]), np.uint8)


def upside_down(picture: Picture) -> Picture:
    """The camera was turned by 180 degrees."""
    return np.ascontiguousarray(picture[::-1, ::-1])


def swapped(picture: Picture) -> Picture:
    """Red and blue change places."""
    return np.ascontiguousarray(picture[..., ::-1])


def dirty(picture: Picture) -> Picture:
    """Smears on the lens, always in the same places, over about a sixth of the picture."""
    height, width = picture.shape[:2]
    random = np.random.default_rng(7)
    mask = np.zeros((height, width), np.float32)
    for _ in range(5):
        place = (int(random.uniform(0.1, 0.9) * width), int(random.uniform(0.1, 0.9) * height))
        axes = (int(random.uniform(0.06, 0.13) * width), int(random.uniform(0.08, 0.2) * height))
        cv2.ellipse(mask, place, axes, float(random.uniform(0, 180)), 0, 360, 1.0, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), 0.015 * width)[..., None]
    smear = cv2.GaussianBlur(picture, (0, 0), 0.03 * width).astype(np.float32) * 0.7 + 25
    return np.asarray(picture * (1 - mask) + smear * mask, np.uint8)


CORRUPTIONS: Mapping[str, Corruption] = {
    "darkened": darkened,
    "blurred": blurred,
    "upside down": upside_down,
    "red and blue swapped": swapped,
    "lens dirty": dirty,
}


def worsen(model: Path, target: Path, noise: float = _NOISE) -> None:
    """Write a copy of a depthrt file with noise on its weights, and without golden frames.

    ``noise``: of each weight tensor's standard deviation.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_model(model)
    random = np.random.default_rng(3)
    for tensor in graph.graph.initializer:
        weights = numpy_helper.to_array(tensor)
        if weights.ndim < 2 or weights.dtype not in (np.int8, np.float32):
            continue
        spread = float(weights.astype(np.float64).std()) * noise
        noisy = weights + spread * random.standard_normal(weights.shape)
        if weights.dtype == np.int8:
            limit = np.abs(weights.astype(np.int16)).max()
            noisy = np.clip(np.round(noisy), -limit, limit)
        tensor.CopyFrom(numpy_helper.from_array(noisy.astype(weights.dtype), tensor.name))
    kept = [entry for entry in graph.metadata_props if entry.key != "depthrt_golden"]
    del graph.metadata_props[:]
    graph.metadata_props.extend(kept)
    onnx.save_model(graph, target)

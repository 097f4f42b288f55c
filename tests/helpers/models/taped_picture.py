"""A picture with measured distances that fit the tiny model, and what the model must then give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from helpers.models.small_model import SIZE, expected_depth

SCALE, SHIFT = 0.01, 0.02
PIXELS = [(3, 2), (60, 5), (10, 30), (33, 20), (50, 44), (5, 45), (25, 9), (44, 33)]
Picture = NDArray[np.uint8]


def picture(seed: int = 1, size: tuple[int, int] = SIZE) -> Picture:
    """A picture (RGB) of smooth colours, at the network's size unless said otherwise."""
    coarse = np.random.default_rng(seed).integers(20, 230, (4, 5, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def d_of(image: Picture) -> NDArray[np.float64]:
    """What the tiny model gives for it."""
    return expected_depth(image.transpose(2, 0, 1)[None])[0].astype(np.float64)


def save(folder: Path, name: str, image: Picture) -> Path:
    path = folder / name
    assert cv2.imwrite(str(path), image[..., ::-1])
    return path


def tape(image: Picture, pixels: list[tuple[int, int]] = PIXELS) -> list[str]:
    """--at options of a picture for which the tiny model's line is known."""
    metres = 1 / (SCALE * d_of(image) + SHIFT)
    return [word for x, y in pixels for word in ("--at", f"{x},{y}={metres[y, x]:.9g}")]


def run(path: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The file in plain onnxruntime; pixels N,3,H,W."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["depth"], {"image": pixels})[0], np.float32)


def wanted(d: NDArray[Any], line: dict[str, Any]) -> NDArray[np.float64]:
    """The formula, as the documentation has it."""
    y = line["scale"] * d.astype(np.float64) + (line["shift"] or 0)
    near, far = line["nearest_m"], line["farthest_m"]
    return np.clip(y, near, far) if line["kind"] == "depth" else 1 / np.clip(y, 1 / far, 1 / near)

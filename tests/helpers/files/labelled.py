"""Small labelled sets that the tests write for themselves."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from helpers.models.small_model import SIZE

# The tiny model of models.py gives 0.5 R + 0.25 G + 0.125 B, so a grey g becomes 0.875 g.
GAIN = 0.875


def grey_picture(number: int) -> NDArray[np.uint8]:
    """A grey ramp, 48x64x3, another one for every number."""
    rows, columns = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    values = 60 + 2 * columns + rows * (number % 3) // 2
    return np.repeat(values.astype(np.uint8)[..., None], 3, axis=2)


def exact_depth_m(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Depth whose inverse is a straight line of the tiny model's output: 0.55 to 1.8 m."""
    return np.asarray(1 / (0.01 * GAIN * picture[..., 0].astype(np.float64) + 0.05), np.float32)


def write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    """An RGB picture as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture[..., ::-1])


def write_png16(path: Path, values: NDArray[np.uint16]) -> None:
    """Depth codes as a 16-bit PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), values)


def write_set(folder: Path, count: int = 6, wrong: float = 0.0, **facts: object) -> Path:
    """A set in the project's own layout that the tiny model sees exactly, to 0.05 mm.

    ``wrong``: depth of the right half is larger by this share of itself, by image number.
    """
    for number in range(count):
        picture = grey_picture(number)
        depth_m = exact_depth_m(picture)
        depth_m[:, SIZE[1] // 2 :] *= 1 + wrong * number
        write_picture(folder / "rgb" / f"{number:06d}.png", picture)
        write_png16(
            folder / "depth" / f"{number:06d}.png", np.rint(depth_m * 1e4).astype(np.uint16)
        )
    content = {"depth_unit_m": 1e-4, "min_depth_m": 0.1, "max_depth_m": 6.0, **facts}
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder

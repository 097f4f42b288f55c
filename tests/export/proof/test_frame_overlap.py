"""Validation frames that calibration has seen are found by their pixels and by their looks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from depthrt_calibration.frames import Sample
from depthrt_calibration.image_features import NEAR_DUPLICATE
from depthrt_export.proof.frame_split import SharedFrame, overlap


def scene(seed: int, size: tuple[int, int] = (108, 192)) -> NDArray[np.uint8]:
    """A smooth coloured picture, uint8 RGB 3,h,w; other seeds look quite different."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0.0 : 1.0 : size[0] * 1j, 0.0 : 1.0 : size[1] * 1j]
    waves = [
        128 + 100 * np.sin(2 * np.pi * (a * rows + b * columns) + c)
        for a, b, c in random.uniform(0.3, 2.5, (3, 3))
    ]
    return np.rint(np.stack(waves)).astype(np.uint8)


def test_overlap_by_pixels_and_by_looks() -> None:
    calibration = [Sample(scene(seed), f"cal#{seed}") for seed in range(4)]
    softened = np.clip(scene(2).astype(int) + 1, 0, 255).astype(np.uint8)
    validation = [
        Sample(scene(3).copy(), "val#same"),
        Sample(softened, "val#recoded"),
        Sample(scene(9), "val#new"),
    ]
    same, recoded = overlap(calibration, validation)
    assert same == SharedFrame("cal#3", "val#same", 0.0, True)
    assert (recoded.calibration, recoded.validation, recoded.same) == (
        "cal#2",
        "val#recoded",
        False,
    )
    assert 0 < recoded.distance < NEAR_DUPLICATE
    assert overlap(calibration, validation[2:]) == []
    assert overlap([], validation) == []

"""Pictures and clips to choose calibration frames from."""

from __future__ import annotations

import hashlib
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

SIZE = (72, 128)


def picture(seed: int, shift: float = 0.0) -> NDArray[np.uint8]:
    """A smooth coloured picture, uint8 RGB H,W,3, that drifts with ``shift``."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0.0 : 1.0 : SIZE[0] * 1j, 0.0 : 1.0 : SIZE[1] * 1j]
    waves = [
        128 + 100 * np.sin(2 * np.pi * (a * rows + b * columns + shift) + c)
        for a, b, c in random.uniform(0.3, 2.5, (3, 3))
    ]
    return np.rint(np.stack(waves, axis=-1)).astype(np.uint8)


def write_video(path: Path, images: list[NDArray[np.uint8]]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", 25)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv444p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def write_images(folder: Path, images: list[NDArray[np.uint8]]) -> Path:
    folder.mkdir()
    for number, image in enumerate(images):
        cv2.imwrite(str(folder / f"{number}.png"), image[..., ::-1])
    return folder


def digest(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

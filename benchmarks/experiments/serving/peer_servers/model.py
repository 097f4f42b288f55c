"""What every peer's server runs inside: depthrt's own decoding, preprocessing and session."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from depthrt.model.depth_model import DepthModel
from depthrt.model.preprocess import prepare
from depthrt.sources.images import decode_image

BATCH = 4
WORKERS = 2
WAIT_MS = 5


class Depth:
    """The model of the environment variable ``PEER_MODEL``, one thread for each inference."""

    def __init__(self) -> None:
        name = os.environ.get("PEER_MODEL") or None
        self._model = DepthModel.load(name, provider="cpu", threads=1, verify=False)
        self._model.warm_up()

    def prepare(self, content: bytes) -> NDArray[np.uint8]:
        """The network's input of an image file, uint8 RGB 3,h,w."""
        image = decode_image(np.frombuffer(content, np.uint8), "the picture")
        return prepare(image, self._model.spec.input)

    def infer(self, images: Sequence[NDArray[np.uint8]]) -> list[bytes]:
        """Depth of each image as npy."""
        found = []
        for values in self._model.infer(np.stack(images)):
            file = io.BytesIO()
            np.save(file, values)
            found.append(file.getvalue())
        return found

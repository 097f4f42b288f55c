"""OpenCV's DNN module on an ONNX file."""

from __future__ import annotations

from typing import Any

import numpy as np


def open_engine(order: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The file as it is; pixels as uint8, as floats where OpenCV wants those."""
    import cv2

    cv2.setNumThreads(order["threads"])
    net = cv2.dnn.readNetFromONNX(order["model"])
    kinds: tuple[Any, ...] = (np.uint8, np.float32)
    pixels = np.load(order["feed"])
    failures = []
    for kind in kinds:
        try:
            net.setInput(pixels.astype(kind))
            net.forward()
        except cv2.error as error:
            failures.append(" ".join(str(error).split()))
            continue

        def run(images: Any, kind: Any = kind) -> Any:
            net.setInput(images.astype(kind, copy=False))
            return np.array(net.forward())

        return run, {"versions": {"opencv": cv2.__version__}}
    raise RuntimeError("; ".join(failures))

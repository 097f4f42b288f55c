"""Pictures that lie inside a page."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_QUALITY = 88


@dataclass(frozen=True)
class Picture:
    """A picture and its caption; ``uri`` holds the whole file."""

    caption: str
    uri: str


def png(image: NDArray[np.uint8], caption: str) -> Picture:
    """An exact picture of RGB pixels H,W,3."""
    return Picture(caption, _uri("png", image, []))


def jpeg(image: NDArray[np.uint8], caption: str) -> Picture:
    """A smaller picture of RGB pixels H,W,3."""
    return Picture(caption, _uri("jpeg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]))


def _uri(form: str, image: NDArray[np.uint8], options: list[int]) -> str:
    ok, content = cv2.imencode(f".{form}", np.ascontiguousarray(image[:, :, ::-1]), options)
    if not ok:
        raise ValueError(f"OpenCV cannot write pixels of shape {image.shape} as {form}")
    return f"data:image/{form};base64,{base64.b64encode(content.tobytes()).decode('ascii')}"

"""Sheets of pictures: colour, true inverse depth, and what networks see, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from depthrt_training.evaluation.labelled_pictures import FloatMap, LabelledPicture

Bgr = npt.NDArray[np.uint8]

WIDTH, HEIGHT = 176, 134
_LINE = 18
_SPARSE = 0.2


def coloured(inverse: FloatMap, known: npt.NDArray[np.bool_]) -> Bgr:
    """H,W inverse depth -> H,W,3 BGR; bright is near, black is unknown."""
    low, high = np.quantile(inverse[known], [0.02, 0.98])
    grey = np.clip(255 * (inverse - low) / max(float(high - low), 1e-9), 0, 255).astype(np.uint8)
    shown = np.asarray(cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO), dtype=np.uint8)
    shown[~known] = 0
    return shown


def true_inverse(picture: LabelledPicture) -> Bgr:
    """h,w,3: the picture's true inverse depth in colour."""
    inverse = np.where(picture.valid, 1 / np.maximum(picture.depth_m, picture.low_m), 0)
    shown = coloured(inverse.astype(np.float32), picture.valid)
    if picture.valid.mean() < _SPARSE:  # single points of a laser vanish where a picture is shrunk
        shown = np.asarray(cv2.dilate(shown, np.ones((7, 7), np.uint8)), dtype=np.uint8)
    return shown


def seen(prediction: FloatMap) -> Bgr:
    """h,w,3: a prediction in colour."""
    return coloured(prediction, np.ones_like(prediction, dtype=bool))


def row(words: str, parts: Sequence[Bgr], scale: int = 1) -> Bgr:
    """A line of text above pictures of any size, shown at `scale` times WIDTH x HEIGHT."""
    size = (scale * WIDTH, scale * HEIGHT)
    shown = [np.asarray(cv2.resize(p, size, interpolation=cv2.INTER_AREA)) for p in parts]
    text = np.zeros((_LINE, len(parts) * size[0], 3), dtype=np.uint8)
    cv2.putText(text, words, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, 16)
    return np.concatenate([text, np.concatenate(shown, axis=1)]).astype(np.uint8)


def labelled_row(words: str, picture: LabelledPicture, predictions: Mapping[str, FloatMap]) -> Bgr:
    """Colour, truth, predictions in their order, whose names follow the words."""
    named = f"{words} | colour, truth, {', '.join(predictions)}" if len(predictions) > 1 else words
    parts = [np.ascontiguousarray(picture.rgb[..., ::-1]), true_inverse(picture)]
    return row(named, [*parts, *(seen(values) for values in predictions.values())])


def write_sheet(file: Path, rows: Sequence[Bgr], columns: int = 2) -> None:
    """Rows of one shape, filled line by line into columns, as a JPEG or PNG.

    Raises:
        OSError: it cannot be written.
    """
    filled = [*rows, *[np.zeros_like(rows[0])] * (-len(rows) % columns)]
    sheet = np.concatenate([np.concatenate(filled[k::columns]) for k in range(columns)], axis=1)
    file.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(file), sheet, [cv2.IMWRITE_JPEG_QUALITY, 80]):
        raise OSError(f"cannot write {file}")

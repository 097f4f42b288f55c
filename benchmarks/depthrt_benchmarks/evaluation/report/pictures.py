"""Images of a set as pictures: input, prediction, truth and error."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.render.colormap import colour_table
from depthrt_benchmarks.common.report.picture import Picture, jpeg
from depthrt_benchmarks.evaluation.datasets.base import Dataset, Pair
from depthrt_benchmarks.evaluation.protocol.alignment import Fit
from depthrt_benchmarks.evaluation.scoring.evaluate import Task
from depthrt_benchmarks.evaluation.scoring.predict import predict
from depthrt_benchmarks.evaluation.scoring.score import Row, aligned_map, view

ERROR_SCALE = 0.5  # the relative error that is drawn brightest
_WIDTH = 360
_UNKNOWN = 118  # grey
_SPARSE = 0.3  # of the pixels known
Rgb = NDArray[np.uint8]


@dataclass(frozen=True)
class DrawnImage:
    """An image of a set: which it is, its figures, and four pictures of it."""

    title: str
    figures: str
    pictures: list[Picture]


def drawn_rows(rows: list[Row], worst: int) -> list[tuple[str, Row]]:
    """The rows of largest AbsRel, then the median and the best one, each with its rank in words."""
    ordered = sorted((r for r in rows if not r.skipped), key=lambda r: -r.metrics["abs_rel"])
    chosen = [("worst" if i == 0 else f"worst {i + 1}", r) for i, r in enumerate(ordered[:worst])]
    if len(ordered) > 2 * worst:
        chosen += [("median", ordered[len(ordered) // 2]), ("best", ordered[-1])]
    return chosen


def draw(task: Task, dataset: Dataset, rows: list[tuple[str, Row]]) -> list[DrawnImage]:
    """The images of these rows, predicted again one at a time."""
    items = {item.name: item for item in dataset.items}
    return [_drawn(task, items[row.name].read(), word, row) for word, row in rows]


def _drawn(task: Task, pair: Pair, word: str, row: Row) -> DrawnImage:
    seen = view(pair, task.protocol)
    output = predict(task.model, seen.image, task.protocol.flip).values
    line = Fit(row.scale, row.shift)
    depth_m = aligned_map(output, seen, task.model.spec.kind, task.protocol, line)
    truth = seen.truth_m.astype(np.float64)
    error = np.abs(depth_m - truth) / np.where(seen.valid, truth, 1)
    near, far = _shown_range(truth[seen.valid])
    height, width = truth.shape
    predicted = f"prediction, {near:.2g}-{far:.2g} m"
    errors = f"|error| / truth, brightest: {ERROR_SCALE:g} and more"
    pictures = [
        jpeg(_shrunk(seen.image, (height, width)), "picture"),
        jpeg(_depth_colours(depth_m, near, far, None), predicted),
        jpeg(_depth_colours(truth, near, far, seen.valid), "truth, same colours; grey: unknown"),
        jpeg(_error_colours(error, seen.valid), errors),
    ]
    figures = row.metrics
    text = (
        f"AbsRel {figures['abs_rel']:.3f}, δ1 {figures['delta1']:.3f}, "
        f"RMSE {figures['rmse']:.3f} m, {row.valid} valid pixels"
    )
    return DrawnImage(f"{word}: {row.name}", text, pictures)


def _shown_range(truth: NDArray[np.float64]) -> tuple[float, float]:
    near, far = (float(v) for v in np.percentile(truth, (2, 98)))
    return (near, far) if far > near * 1.001 else (near * 0.9, near * 1.1)


def _depth_colours(
    depth_m: NDArray[np.float64], near: float, far: float, valid: NDArray[np.bool_] | None
) -> Rgb:
    """Near is bright; the steps are even in inverse depth, as a network sees them."""
    shade = (1 / np.maximum(depth_m, 1e-9) - 1 / far) / (1 / near - 1 / far)
    return _shaded("inferno", shade, valid)


def _error_colours(error: NDArray[np.float64], valid: NDArray[np.bool_]) -> Rgb:
    return _shaded("viridis", error / ERROR_SCALE, valid)


def _shaded(table: str, shade: NDArray[np.float64], valid: NDArray[np.bool_] | None) -> Rgb:
    """Values 0..1 in colours, grey where not valid, at the size of a panel."""
    index = np.rint(np.clip(shade, 0, 1) * 255).astype(np.uint8)
    picture = colour_table(table)[index]
    if valid is not None:
        known = valid.astype(np.uint8)
        picture = picture * known[..., None]
        if valid.mean() < _SPARSE:  # points of a laser scanner would vanish
            around = np.ones((5, 5), np.uint8)
            picture = np.asarray(cv2.dilate(picture, around), np.uint8)
            known = np.asarray(cv2.dilate(known, around), np.uint8)
        picture = np.where(known[..., None] > 0, picture, _UNKNOWN).astype(np.uint8)
    step = _step(picture.shape[1])
    return picture[::step, ::step]  # not blended, so that edges stay what they are


def _step(width: int) -> int:
    return max(1, round(width / _WIDTH))


def _shrunk(image: Rgb, size: tuple[int, int]) -> Rgb:
    """The picture in the shape of the truth, at the size of the other panels."""
    height, width = size
    step = _step(width)
    target = (-(-width // step), -(-height // step))
    return np.asarray(cv2.resize(image, target, interpolation=cv2.INTER_AREA), np.uint8)

"""An image of a set drawn: picture, prediction, truth and where the error is."""

from __future__ import annotations

import base64
from html import escape
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.colour import colour_table
from depthrt_benchmarks.evaluation.datasets import Dataset, Pair
from depthrt_benchmarks.evaluation.measure import Row, aligned_map, view
from depthrt_benchmarks.evaluation.predict import predict
from depthrt_benchmarks.evaluation.run import Task
from depthrt_calibration.alignment import Fit

ERROR_SCALE = 0.5  # the relative error that is drawn brightest
_WIDTH = 360
_QUALITY = 88
Rgb = NDArray[np.uint8]


def drawn_rows(rows: list[Row], worst: int) -> list[tuple[str, Row]]:
    """The rows with the largest AbsRel, then the middle one and the best, each with a word."""
    ordered = sorted((r for r in rows if not r.skipped), key=lambda r: -r.metrics["abs_rel"])
    chosen = [("worst" if i == 0 else f"worst {i + 1}", r) for i, r in enumerate(ordered[:worst])]
    if len(ordered) > worst + 1:
        chosen += [("median", ordered[len(ordered) // 2]), ("best", ordered[-1])]
    return chosen


def draw(task: Task, dataset: Dataset, rows: list[tuple[str, Row]]) -> str:
    """HTML figures of these images, measured again one at a time."""
    items = {item.name: item for item in dataset.items}
    return "".join(_section(task, items[row.name].read(), word, row) for word, row in rows)


def _section(task: Task, pair: Pair, word: str, row: Row) -> str:
    seen = view(pair, task.protocol)
    output = predict(task.model, seen.image, task.protocol.flip)
    line = Fit(row.scale, row.shift)
    depth_m = aligned_map(output, seen, task.model.spec.kind, task.protocol, line)
    truth = seen.truth_m.astype(np.float64)
    error = np.abs(depth_m - truth) / np.where(seen.valid, truth, 1)
    near, far = _shown_range(truth[seen.valid])
    height, width = truth.shape
    panels = (
        ("picture", _shrunk(seen.image, (height, width))),
        (f"prediction, {near:.2g}-{far:.2g} m", _depth_colours(depth_m, near, far, None)),
        ("truth, same colours; black: unknown", _depth_colours(truth, near, far, seen.valid)),
        (
            f"|error| / truth, brightest: {ERROR_SCALE:g} and more",
            _error_colours(error, seen.valid),
        ),
    )
    figures = row.metrics
    text = (
        f"AbsRel {figures['abs_rel']:.3f}, δ1 {figures['delta1']:.3f}, "
        f"RMSE {figures['rmse']:.3f} m, {row.valid} valid pixels"
    )
    cells = "".join(_figure(picture, title) for title, picture in panels)
    head = f"<h4>{escape(word)}: {escape(row.name)} <small>{escape(text)}</small></h4>"
    return f'<section>{head}<div class="row">{cells}</div></section>'


def _shown_range(truth: NDArray[np.float64]) -> tuple[float, float]:
    near, far = (float(v) for v in np.percentile(truth, (2, 98)))
    return (near, far) if far > near * 1.001 else (near * 0.9, near * 1.1)


def _depth_colours(
    depth_m: NDArray[np.float64], near: float, far: float, valid: NDArray[np.bool_] | None
) -> Rgb:
    """Near is bright; the steps are even in inverse depth, as a network sees them."""
    small = _thinned(depth_m)
    shade = (1 / np.maximum(small, 1e-9) - 1 / far) / (1 / near - 1 / far)
    picture = colour_table("inferno")[np.clip(np.rint(shade * 255), 0, 255).astype(np.uint8)]
    return picture if valid is None else _blacked(picture, valid)


def _error_colours(error: NDArray[np.float64], valid: NDArray[np.bool_]) -> Rgb:
    share = np.clip(_thinned(error) / ERROR_SCALE, 0, 1)
    return _blacked(colour_table("viridis")[np.rint(share * 255).astype(np.uint8)], valid)


def _blacked(picture: NDArray[np.uint8], valid: NDArray[np.bool_]) -> Rgb:
    return np.where(_thinned(valid)[..., None], picture, 0).astype(np.uint8)


def _thinned(values: NDArray[Any]) -> NDArray[Any]:
    """Every n-th row and column, so that sparse truth and edges stay what they are."""
    step = max(1, values.shape[1] // _WIDTH)
    return values[::step, ::step]


def _shrunk(image: Rgb, size: tuple[int, int]) -> Rgb:
    """The picture in the shape of the truth, at the size of the other panels."""
    height, width = size
    step = max(1, width // _WIDTH)
    target = (-(-width // step), -(-height // step))
    return np.asarray(cv2.resize(image, target, interpolation=cv2.INTER_AREA), np.uint8)


def _figure(picture: Rgb, title: str) -> str:
    options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    ok, content = cv2.imencode(".jpg", np.ascontiguousarray(picture[:, :, ::-1]), options)
    data = base64.b64encode(content.tobytes()).decode("ascii") if ok else ""
    caption = escape(title)
    return (
        f'<figure><img alt="{caption}" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )

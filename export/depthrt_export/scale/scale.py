"""``depthrt scale`` without its command line: points in, a file that gives metres out."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from depthrt.depth import Depth
from depthrt.errors import AccuracyGateError, UsageError
from depthrt.model.depth_model import DepthModel
from depthrt.model.golden.replay import golden_of
from depthrt.monitor.reference import REFERENCE_KEY
from depthrt.sources.images import read_image
from depthrt.spec import ModelSpec
from depthrt_export.model_file import put_in_place
from depthrt_export.scale.choose_line import Fitted, Samples, Wish, fit_points
from depthrt_export.scale.fit import Line
from depthrt_export.scale.golden import scaled_golden
from depthrt_export.scale.points import Point
from depthrt_export.scale.provenance import metric_spec, point_row
from depthrt_export.scale.write import append_metres, as_float32, worst_difference

_EXACT = 1e-6
_NO_REFERENCE = (
    "the reference of drift in the file was left out: it is of depth without metres "
    "(`depthrt run --metrics` learns one)"
)


class Pictures:
    """Pictures and the model's depth of them, each read and computed once."""

    def __init__(self, model: DepthModel) -> None:
        self._model = model
        self._depths: dict[Path, Depth] = {}

    def depth(self, image: Path) -> Depth:
        """The model's depth of a picture.

        Raises:
            SourceError: it is no picture that can be read.
            InferenceError: the model fails on it.
        """
        if image not in self._depths:
            self._depths[image] = self._model(read_image(image))
        return self._depths[image]

    def size(self, image: Path) -> tuple[int, int]:
        """Height and width of a picture."""
        return self.depth(image).image_size


@dataclass(frozen=True, eq=False)
class Scaled:
    """What was written where, and what is to be said of it.

    ``worst_difference``: between the new file's metres and the formula, relative.
    """

    output: Path
    spec: ModelSpec
    fitted: Fitted
    points: Sequence[Point]
    notes: tuple[str, ...]
    worst_difference: float

    def outliers(self) -> list[str]:
        """The points that the fit left out, each with what the others say."""
        rows = zip(self.points, self.fitted.outliers, self.fitted.predicted_m, strict=True)
        return [
            f"{point.place}: {point.metres:.4g} m given, {predicted:.3g} m by the others"
            for point, is_outlier, predicted in rows
            if is_outlier
        ]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        rows = [point_row(*pair) for pair in zip(self.points, self.fitted.outliers, strict=True)]
        return {
            "output": str(self.output),
            "spec": json.loads(self.spec.to_json()),
            **self.spec.provenance["metres"],
            "points": rows,
            "notes": list(self.notes),
            "worst_difference": self.worst_difference,
        }


def scale_model(
    model: DepthModel,
    points: Sequence[Point],
    pictures: Pictures,
    target: Path,
    wish: Wish,
    *,
    overwrite: bool,
) -> Scaled:
    """Fit the points, write the file and prove it.

    Args:
        model: on the CPU provider.
        points: one or more.
        pictures: of this model.
        target: the .onnx file to make.
        wish: what is asked of the fit.
        overwrite: a file that stands there may be replaced.

    Raises:
        UsageError: the points cannot tell.
        AccuracyGateError: they do not fit the model, or the file does not give what it should.
        TargetError, WriteError: the file cannot be written.
    """
    known, samples, notes = _sample(points, pictures)
    fitted = fit_points(samples, wish)
    line = as_float32(fitted.line)
    graph = onnx.load_model(model.path)
    added = append_metres(graph, line)
    spec = metric_spec(model, replace(fitted, line=line), known, target.stem)
    if spec.precision.startswith("int"):
        spec = replace(spec, float_nodes=(*spec.float_nodes, *added))
    if any(entry.key == REFERENCE_KEY for entry in graph.metadata_props):
        notes = (*notes, _NO_REFERENCE)
    before = golden_of(model)
    golden = None if before is None else scaled_golden(before, line)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.stem}.") as folder:
        draft = Path(folder) / target.name
        put_in_place(graph, spec, draft, golden=golden)
        worst = _prove(draft, line, pictures, list(dict.fromkeys(p.image for p in known)))
        put_in_place(graph, spec, target, overwrite=overwrite, golden=golden)
    return Scaled(target, spec, fitted, known, (*notes, *fitted.notes), worst)


def _sample(
    points: Sequence[Point], pictures: Pictures
) -> tuple[list[Point], Samples, tuple[str, ...]]:
    """The points where the model's depth means something, and its depth there.

    Raises:
        UsageError: a point outside its picture, or none where depth means something.
    """
    known: list[Point] = []
    values: list[float] = []
    spreads = []
    images = list(dict.fromkeys(point.image for point in points))
    for image in images:
        depth = pictures.depth(image)
        low, high = (
            np.percentile(depth.known_values, (2, 98)) if depth.known_values.size else (0, 0)
        )
        spreads.append(float(high - low))
        whole = depth.at_image_size()
        for point in (p for p in points if p.image == image):
            row, column = _pixel(point, depth)
            if _is_known(depth, row, column):
                known.append(point)
                values.append(float(whole[row, column]))
    if not known:
        raise UsageError("the model says of every point that its depth means nothing there")
    lost = len(points) - len(known)
    note = f"{lost} points left out: the model says that its depth means nothing there"
    return (
        known,
        Samples(
            np.array(values, np.float64),
            np.array([p.metres for p in known], np.float64),
            np.array([images.index(p.image) for p in known], np.intp),
            max(spreads),
            tuple(p.place for p in known),
        ),
        (note,) if lost else (),
    )


def _pixel(point: Point, depth: Depth) -> tuple[int, int]:
    """Row and column of a point in its picture."""
    height, width = depth.image_size
    column, row = round(point.x), round(point.y)
    if not (0 <= column < width and 0 <= row < height):
        raise UsageError(
            f"{point.place} lies outside the picture, whose x goes from 0 to {width - 1} and y "
            f"from 0 to {height - 1}"
        )
    return row, column


def _is_known(depth: Depth, row: int, column: int) -> bool:
    if depth.valid is None:
        return True
    height, width = depth.image_size
    rows, columns = depth.valid.shape
    return bool(depth.valid[row * rows // height, column * columns // width])


def _prove(draft: Path, line: Line, pictures: Pictures, images: Sequence[Path]) -> float:
    """Compare the new file with the formula on the pictures, and give the worst difference.

    Raises:
        AccuracyGateError: it is more than rounding.
    """
    scaled = Pictures(DepthModel.load(draft, provider="cpu"))
    worst = max(
        worst_difference(_values(pictures, image), _values(scaled, image), line) for image in images
    )
    if not worst <= _EXACT:
        raise AccuracyGateError(
            f"the new file's depth differs from {line.formula()} by {worst:.1e}: this is a fault "
            "of depthrt, please report it"
        )
    return worst


def _values(pictures: Pictures, image: Path) -> NDArray[np.float32]:
    return pictures.depth(image).known_values

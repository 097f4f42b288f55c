"""What a scaled file says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from depthrt.files.file_hash import file_sha256
from depthrt.model.depth_model import DepthModel
from depthrt.spec import ModelSpec
from depthrt_export.scale.choose_line import Fitted
from depthrt_export.scale.fit import Line
from depthrt_export.scale.points import Point

_MOST_LISTED = 100


def metric_spec(model: DepthModel, fitted: Fitted, points: Sequence[Point], name: str) -> ModelSpec:
    """The spec of the scaled file: depth in metres, and how they were fitted.

    Of many points the file lists the first hundred; no path is kept, only names.
    """
    before, line = model.spec, fitted.line
    return replace(
        before,
        name=name,
        kind="depth",
        unit="m",
        valid_range=(line.nearest_m, line.farthest_m),
        output_range=_range(before.output_range, line),
        provenance={**before.provenance, "metres": _provenance(model, fitted, points)},
    )


def point_row(point: Point, is_outlier: bool) -> dict[str, Any]:
    """A point as JSON."""
    row = {"image": point.image.name, "x": point.x, "y": point.y, "metres": point.metres}
    return {**row, "outlier": True} if is_outlier else row


def _provenance(model: DepthModel, fitted: Fitted, points: Sequence[Point]) -> Mapping[str, Any]:
    spec, line, error = model.spec, fitted.line, fitted.error
    rows = [point_row(*pair) for pair in zip(points, fitted.outliers, strict=True)]
    images = dict.fromkeys(point.image for point in points)
    earlier = spec.provenance.get("metres")
    return {
        "of": {
            "name": spec.name,
            "sha256": model.sha256(),
            "kind": spec.kind,
            "unit": spec.unit,
            **({} if earlier is None else {"metres": earlier}),
        },
        "formula": line.formula(),
        "fit": asdict(line),
        "error": {**asdict(error), "abs_rel": round(error.abs_rel, 4), "low": round(error.low, 4),
                  "high": round(error.high, 4), "confidence": 0.95},
        "pictures": [{"name": image.name, "sha256": file_sha256(image)} for image in images],
        "point_count": len(points),
        "outlier_count": int(fitted.outliers.sum()),
        "points": rows[:_MOST_LISTED],
    }  # fmt: skip


def _range(before: tuple[float, float] | None, line: Line) -> tuple[float, float] | None:
    """The range seen before, in metres; None where it is one value."""
    if before is None:
        return None
    low, high = sorted(line.metres(np.array(before, np.float64)).tolist())
    return (low, high) if low < high else None

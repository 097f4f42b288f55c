"""Pictures with true depth, and the figures of several networks on each of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from depthrt_benchmarks.evaluation.metrics.boundary import LEAST_SHARE, boundary_f1
from depthrt_benchmarks.evaluation.metrics.metrics import depth_metrics
from depthrt_benchmarks.evaluation.protocol.alignment import fit, solve_space, to_depth_m
from depthrt_training.data.samples import read_rgb

FloatMap = npt.NDArray[np.float32]
Predictor = Callable[[npt.NDArray[np.uint8]], FloatMap]
"""RGB H,W,3 uint8 -> relative inverse depth, at a size of the network's."""

_LEAST_PIXELS = 10


@dataclass(frozen=True, eq=False)
class LabelledPicture:
    """A picture and its truth.

    rgb: H,W,3 uint8; depth_m: h,w float32, metres; valid: h,w, where the truth is known and
    strictly inside the set's range; low_m, cap_m: that range.
    """

    name: str
    rgb: npt.NDArray[np.uint8]
    depth_m: FloatMap
    valid: npt.NDArray[np.bool_]
    low_m: float
    cap_m: float


@dataclass(frozen=True)
class PictureFigures:
    """One network on one picture, after `disparity-lsq`.

    correlation: Pearson's, of the prediction and true inverse depth; below 0 the network has turned
    near and far round, and the fit has a negative scale. 0 where the prediction is constant.
    """

    abs_rel: float
    delta1: float
    boundary_f1: float
    correlation: float


def pictures_of(folder: Path, only: Sequence[Path] | None = None) -> Iterator[LabelledPicture]:
    """The pictures of an RGB-D set, or its colour files `only`; not those without depth."""
    spec = json.loads((folder / "dataset.json").read_text())
    low, cap = float(spec["min_depth_m"]), float(spec["max_depth_m"])
    for file in sorted((folder / "rgb").glob("*.jpg")) if only is None else only:
        raw = cv2.imread(str(folder / "depth" / f"{file.stem}.png"), cv2.IMREAD_UNCHANGED)
        depth_m = np.asarray(raw, dtype=np.float32) * np.float32(spec["depth_unit_m"])
        valid = (depth_m > low) & (depth_m < cap)
        valid &= ~np.isin(np.asarray(raw), spec.get("invalid", [0]))
        if valid.sum() >= _LEAST_PIXELS:
            yield LabelledPicture(file.stem, read_rgb(file), depth_m, valid, low, cap)


def predicted(picture: LabelledPicture, predict: Predictor) -> FloatMap:
    """The prediction on the grid of the truth, h,w."""
    height, width = picture.depth_m.shape
    resized = cv2.resize(predict(picture.rgb), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.float32)


def figures_of(
    picture: LabelledPicture, prediction: FloatMap, edges: bool = True
) -> PictureFigures:
    """By the protocol of `evaluate.py` and the formulae of `depthrt eval`; prediction: h,w.

    Boundary F1 is NaN without `edges`, and if less than half of the picture is valid: its edges
    would be those of the holes.
    """
    valid = picture.valid
    truth = picture.depth_m[valid].astype(np.float64)
    space = solve_space(prediction, "inverse_depth", "disparity-lsq")
    line = fit(space[valid], truth, "disparity-lsq")
    aligned = to_depth_m(space, line, "disparity-lsq", picture.low_m, picture.cap_m)
    found = depth_metrics(aligned[valid], truth)
    whole = edges and valid.mean() >= LEAST_SHARE
    return PictureFigures(
        abs_rel=found["abs_rel"],
        delta1=found["delta1"],
        boundary_f1=boundary_f1(aligned, picture.depth_m, valid) if whole else float("nan"),
        correlation=_correlation(space[valid], 1 / truth),
    )


def _correlation(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    spreads = float(first.std()) * float(second.std())
    shared = float(np.mean((first - first.mean()) * (second - second.mean())))
    return shared / spreads if spreads > 0 else 0.0


def figures_of_set(
    folder: Path,
    predictors: Mapping[str, Predictor],
    only: Sequence[Path] | None = None,
    edges: bool = True,
) -> dict[str, dict[str, PictureFigures]]:
    """For every picture by its name: the figures of every network; a picture is read once."""
    return {
        picture.name: {
            network: figures_of(picture, predicted(picture, predict), edges)
            for network, predict in predictors.items()
        }
        for picture in pictures_of(folder, only)
    }

"""Frames with measured depth, from a folder with a ``dataset.json``, and the error against it.

The folder holds ``rgb/NAME.jpg`` (or .png), ``depth/NAME.png`` (uint16) and ``dataset.json`` with
``depth_unit_m`` (metres of one unit), ``min_depth_m`` and ``max_depth_m``; where known, ``invalid``
(values that mean unknown, besides 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.errors import SourceError
from depthrt.files.json_file import read_object
from depthrt.frame import image_size
from depthrt.model.preprocess import content_size, prepare
from depthrt.sources.images import read_image
from depthrt.spec import InputSpec, Kind, Unit
from depthrt_benchmarks.evaluation.metrics.metrics import absolute_relative
from depthrt_benchmarks.evaluation.protocol.alignment import Align, fit, solve_space, to_depth_m
from depthrt_calibration.frames import Sample, evenly, one_size

_FEWEST_PIXELS = 10


@dataclass(frozen=True)
class _Facts:
    """``dataset.json``: metres of one unit, the range that counts, values that mean unknown."""

    unit_m: float
    nearest_m: float
    farthest_m: float
    invalid: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Labelled:
    """A prepared frame and its depth in metres (float32 H,W; 0 where unknown), valid in a range.

    ``content``: height and width of the part of the prediction, from its top left, that is picture.
    """

    sample: Sample
    depth_m: NDArray[np.float32]
    nearest_m: float
    farthest_m: float
    content: tuple[int, int]


def labelled_frames(folder: Path, count: int, spec: InputSpec) -> list[Labelled]:
    """At most ``count`` pairs, spread evenly; those with fewer than ten valid pixels are left out.

    As everywhere, frames are prepared at one size: ``keep_aspect`` counts as ``stretch``.

    Raises:
        SourceError: no such folder, or nothing usable in it.
    """
    facts = _facts(folder / "dataset.json")
    chosen = evenly(sorted((folder / "depth").glob("*.png")), count)
    frames = [f for path in chosen if (f := _pair(folder, path, facts, one_size(spec)))]
    if not frames:
        raise SourceError(f"{folder} holds no pair of rgb/NAME.jpg and depth/NAME.png with depth")
    return frames


def _facts(place: Path) -> _Facts:
    try:
        about = read_object(place)
        unit_m, near_m, far_m = (
            about.number(key) for key in ("depth_unit_m", "min_depth_m", "max_depth_m")
        )
        invalid = about.numbers("invalid") if "invalid" in about.content else []
        return _Facts(unit_m, near_m, far_m, tuple(invalid))
    except SourceError as error:
        raise SourceError(
            f"{place} does not say depth_unit_m, min_depth_m and max_depth_m (and invalid, if at "
            "all, as a list of numbers): a labelled set is a folder with rgb/, depth/ and "
            "dataset.json"
        ) from error


def _pair(folder: Path, path: Path, facts: _Facts, spec: InputSpec) -> Labelled | None:
    pictures = [folder / "rgb" / f"{path.stem}{ending}" for ending in (".jpg", ".png", ".jpeg")]
    picture = next((p for p in pictures if p.is_file()), None)
    if picture is None:
        return None
    image, raw = read_image(picture), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if raw is None or raw.ndim != 2:
        raise SourceError(f"{path} is no readable picture of one channel")
    depth_m = raw.astype(np.float32) * np.float32(facts.unit_m)
    depth_m[np.isin(raw, facts.invalid)] = 0
    size = image_size(image)
    frame = Labelled(
        Sample(prepare(image, spec), f"{folder.name}/{path.stem}", size),
        depth_m,
        facts.nearest_m,
        facts.farthest_m,
        content_size(size, spec),
    )
    return frame if int(_valid(frame).sum()) >= _FEWEST_PIXELS else None


def absolute_relative_error(
    prediction: NDArray[np.float32], frame: Labelled, kind: Kind, unit: Unit | None = None
) -> float:
    """AbsRel, mean |p - g| / g over the valid pixels of one frame.

    Protocol: padding cut off, prediction resized to the ground truth (bilinear); min < g < max;
    depth in metres as it is; else ``disparity-lsq`` (Ranftl et al., TPAMI 2022) to inverse depth,
    or the same solve on depth for a network of depth (Ke et al., Marigold, CVPR 2024); clamped to
    the range of the set.
    """
    height, width = frame.depth_m.shape
    rows, columns = frame.content
    picture = np.ascontiguousarray(prediction[:rows, :columns])
    resized = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    valid = _valid(frame)
    truth = frame.depth_m[valid].astype(np.float64)
    align = _align(kind, unit)
    space = solve_space(np.asarray(resized, np.float32)[valid], kind, align)
    line = fit(space, truth, align)
    depth_m = to_depth_m(space, line, align, frame.nearest_m, frame.farthest_m)
    return absolute_relative(depth_m, truth)


def _align(kind: Kind, unit: Unit | None) -> Align:
    """As ``depthrt eval`` does: none for metres, else least squares in the output's own space."""
    if kind == "depth":
        return "none" if unit == "m" else "depth-lsq"
    return "disparity-lsq"


def _valid(frame: Labelled) -> NDArray[np.bool_]:
    inside = (frame.depth_m > frame.nearest_m) & (frame.depth_m < frame.farthest_m)
    return np.asarray(inside, np.bool_)

"""Frames with measured depth, from a folder with a ``dataset.json``, and the error against it.

The folder holds ``rgb/NAME.jpg`` (or .png), ``depth/NAME.png`` (uint16) and ``dataset.json`` with
``depth_unit_m`` (metres of one unit), ``min_depth_m`` and ``max_depth_m``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.errors import SourceError
from depthrt.preparation import prepare
from depthrt.spec import InputSpec, Kind
from depthrt_calibration.alignment import (
    Align,
    absolute_relative,
    fit,
    solve_space,
    to_depth_m,
)
from depthrt_calibration.frames import Sample

_FEWEST_PIXELS = 10


@dataclass(frozen=True, eq=False)
class Labelled:
    """A prepared frame and its depth in metres (float32 H,W; 0 where unknown), valid in a range."""

    sample: Sample
    depth_m: NDArray[np.float32]
    nearest_m: float
    farthest_m: float


def labelled_frames(folder: Path, count: int, spec: InputSpec) -> list[Labelled]:
    """At most ``count`` pairs, spread evenly; those with fewer than ten valid pixels are left out.

    Raises:
        SourceError: no such folder, or nothing usable in it.
    """
    place = folder / "dataset.json"
    try:
        facts = json.loads(place.read_text(encoding="utf-8"))
        unit_m = float(facts["depth_unit_m"])
        near_m, far_m = float(facts["min_depth_m"]), float(facts["max_depth_m"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"{place} does not say depth_unit_m, min_depth_m and max_depth_m: a labelled set is a "
            "folder with rgb/, depth/ and dataset.json"
        ) from error
    depths = sorted((folder / "depth").glob("*.png"))
    chosen = depths[:: max(1, len(depths) // count)][:count]
    frames = [f for path in chosen if (f := _pair(folder, path, unit_m, near_m, far_m, spec))]
    if not frames:
        raise SourceError(f"{folder} holds no pair of rgb/NAME.jpg and depth/NAME.png with depth")
    return frames


def _pair(
    folder: Path, path: Path, unit_m: float, near_m: float, far_m: float, spec: InputSpec
) -> Labelled | None:
    pictures = [folder / "rgb" / f"{path.stem}{ending}" for ending in (".jpg", ".png", ".jpeg")]
    picture = next((p for p in pictures if p.is_file()), None)
    if picture is None:
        return None
    image, raw = cv2.imread(str(picture)), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or raw is None or raw.ndim != 2:
        raise SourceError(f"{picture} or {path} is no readable picture")
    depth_m = raw.astype(np.float32) * np.float32(unit_m)
    frame = Labelled(
        Sample(
            prepare(np.ascontiguousarray(image[:, :, ::-1]), spec), f"{folder.name}/{path.stem}"
        ),
        depth_m,
        near_m,
        far_m,
    )
    return frame if int(_valid(frame).sum()) >= _FEWEST_PIXELS else None


def absolute_relative_error(prediction: NDArray[np.float32], frame: Labelled, kind: Kind) -> float:
    """AbsRel, mean |p - g| / g over the valid pixels of one frame.

    Protocol: prediction resized to the ground truth (bilinear); min < g < max; ``disparity-lsq``
    (Ranftl et al., TPAMI 2022) to inverse depth, or the same solve on depth for a network of
    depth (Ke et al., Marigold, CVPR 2024); clamped to the range of the set.
    """
    height, width = frame.depth_m.shape
    resized = cv2.resize(prediction, (width, height), interpolation=cv2.INTER_LINEAR)
    valid = _valid(frame)
    truth = frame.depth_m[valid].astype(np.float64)
    align: Align = "disparity-lsq" if kind == "inverse_depth" else "depth-lsq"
    space = solve_space(np.asarray(resized, np.float32)[valid], kind, align)
    line = fit(space, truth, align)
    depth_m = to_depth_m(space, line, align, frame.nearest_m, frame.farthest_m)
    return absolute_relative(depth_m, truth)


def _valid(frame: Labelled) -> NDArray[np.bool_]:
    inside = (frame.depth_m > frame.nearest_m) & (frame.depth_m < frame.farthest_m)
    return np.asarray(inside, np.bool_)

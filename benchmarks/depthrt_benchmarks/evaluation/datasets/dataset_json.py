"""The project's own layout: ``rgb/NAME.jpg``, ``depth/NAME.png`` and ``dataset.json``.

``dataset.json``: ``depth_unit_m`` (metres of one unit), ``min_depth_m``, ``max_depth_m``; and,
where known, ``invalid`` (values that mean unknown), ``intrinsics`` (fx, fy, cx, cy, width, height)
and ``fps`` (the pairs are frames of a video, in order). ``poses.txt``, if there: ``frame tx ty tz
qx qy qz qw``, camera to world, metres.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import SourceError
from depthrt.sources import read_image
from depthrt_benchmarks.evaluation.datasets.base import (
    Dataset,
    Item,
    Pair,
    ReadOptions,
    missing_warning,
    require_items,
)
from depthrt_benchmarks.evaluation.datasets.files import read_depth, read_number_lines
from depthrt_benchmarks.evaluation.protocol import Customs
from depthrt_benchmarks.evaluation.tae import Intrinsics, pose_matrix

LAYOUT = "dataset-json"
INDEX = "dataset.json"
_PICTURES = (".jpg", ".jpeg", ".png")


def is_here(folder: Path) -> bool:
    """Whether the folder looks like this layout."""
    return (folder / INDEX).is_file()


def open_dataset(folder: Path, options: ReadOptions) -> Dataset:
    """Open it.

    Raises:
        SourceError: ``dataset.json`` lacks something, or there is no pair.
    """
    facts = _facts(folder / INDEX)
    unit_m = options.depth_scale or float(facts["depth_unit_m"])
    invalid = tuple(float(v) for v in facts.get("invalid", ()))
    pictures = sorted(p for p in (folder / "rgb").glob("*") if p.suffix.lower() in _PICTURES)
    poses = _poses(folder / "poses.txt")
    camera, sequence = _camera(facts), folder.name if facts.get("fps") else ""
    items, missing = [], []
    for picture in pictures:
        depth = folder / "depth" / f"{picture.stem}.png"
        if not depth.is_file():
            missing.append(f"rgb/{picture.name}")
            continue
        read = partial(_read, picture, depth, unit_m, invalid)
        files = (picture, depth)
        items.append(Item(picture.stem, files, read, sequence, poses.get(picture.stem), camera))
    require_items(items, folder, "rgb/NAME.jpg with depth/NAME.png")
    return Dataset(
        folder.resolve().name,
        LAYOUT,
        items,
        # The figures published for these sets resize by OpenCV's bilinear.
        Customs(float(facts["min_depth_m"]), float(facts["max_depth_m"]), resize="half-pixel"),
        missing_warning(missing, "depth/NAME.png", len(pictures)),
    )


def _read(picture: Path, depth: Path, unit_m: float, invalid: tuple[float, ...]) -> Pair:
    return Pair(read_image(picture), read_depth(depth, unit_m, invalid))


def _facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        for key in ("depth_unit_m", "min_depth_m", "max_depth_m"):
            float(facts[key])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"{path} does not say depth_unit_m, min_depth_m and max_depth_m as numbers ({error})"
        ) from error
    return dict(facts)


def _camera(facts: dict[str, Any]) -> Intrinsics | None:
    given = facts.get("intrinsics")
    if not isinstance(given, dict) or not {"fx", "fy", "cx", "cy"} <= given.keys():
        return None
    return Intrinsics(*(float(given[key]) for key in ("fx", "fy", "cx", "cy")))


def _poses(path: Path) -> dict[str, NDArray[np.float64]]:
    if not path.is_file():
        return {}
    found = {}
    for words in read_number_lines(path):
        try:
            numbers = [float(word) for word in words[1:8]]
            found[words[0]] = pose_matrix(numbers[:3], numbers[3:7])
        except (ValueError, IndexError) as error:
            line = " ".join(words)[:80]
            raise SourceError(f"{path} has no pose in the line {line!r}") from error
    return found

"""The project's own layout: ``rgb/NAME.jpg``, ``depth/NAME.png`` and ``dataset.json``.

``dataset.json``: ``depth_unit_m`` (metres of one unit), ``min_depth_m``, ``max_depth_m``; and,
where known, ``invalid`` (values that mean unknown, or one alone), ``intrinsics`` and ``fps`` (the
pairs are frames of a video, in order). ``poses.txt``, if there: ``frame tx ty tz qx qy qz qw``,
camera to world, metres.

``intrinsics``: ``fx``, ``fy``, ``cx``, ``cy`` in pixels, the middle of the first pixel at (0, 0).
With ``width`` and ``height`` they are for a picture of that size and are scaled to the depth map's;
without, they are for the depth map.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import SourceError
from depthrt.files.json_file import JsonObject, is_number, read_object
from depthrt.sources.images import natural_order
from depthrt_benchmarks.evaluation.datasets.base import (
    INVALID,
    SCALE,
    Dataset,
    Item,
    ReadOptions,
    lone_depths,
    lone_warning,
    missing_warning,
    pose_warning,
    require_items,
)
from depthrt_benchmarks.evaluation.datasets.formats.files import (
    AnyCase,
    files_of,
    read_number_lines,
    read_pair,
    read_values,
)
from depthrt_benchmarks.evaluation.metrics.tae import Intrinsics, usable_pose
from depthrt_benchmarks.evaluation.protocol.protocol import Customs

LAYOUT = "dataset-json"
INDEX, POSES = "dataset.json", "poses.txt"
_PICTURES = (".jpg", ".jpeg", ".png")
_RANGE = ("depth_unit_m", "min_depth_m", "max_depth_m")
_PIXELS = ("fx", "fy", "cx", "cy")


def is_here(folder: Path) -> bool:
    """Whether the folder looks like this layout."""
    return os.path.lexists(folder / INDEX)  # also where it is a pipe, which is refused later


@dataclass(frozen=True)
class Facts:
    """What ``dataset.json`` says; ``min_depth_m`` to ``max_depth_m`` is the range evaluated."""

    unit_m: float
    min_depth_m: float
    max_depth_m: float
    invalid: tuple[float, ...] = ()
    camera: Intrinsics | None = None
    is_video: bool = False


def open_dataset(folder: Path, options: ReadOptions) -> Dataset:
    """Open it.

    Raises:
        SourceError: ``dataset.json`` lacks something or says nonsense, or there is no pair.
    """
    facts = read_facts(folder / INDEX)
    unit_m = options.depth_scale or facts.unit_m
    invalid = (*facts.invalid, *options.invalid)
    name = folder.resolve().name
    found = sorted(p for p in (folder / "rgb").glob("*") if p.suffix.lower() in _PICTURES)
    pictures = sorted(found, key=natural_order)
    poses = _poses(folder / POSES)
    sequence = name if facts.is_video else ""
    items, missing, files = [], [], AnyCase()
    for picture in pictures:
        depth = files.find(folder / "depth" / f"{picture.stem}.png")
        if depth is None:
            missing.append(f"rgb/{picture.name}")
            continue
        read = partial(read_pair, picture, depth, unit_m, invalid)
        pose = poses.get(picture.stem)
        items.append(Item(picture.stem, (picture, depth), read, sequence, pose, facts.camera))
    require_items(items, folder, "rgb/NAME.jpg with depth/NAME.png")
    lost = [item.name for item in items if item.name in poses and item.pose is None]
    lone = lone_depths(files_of(folder / "depth", (".png",)), items)
    if facts.camera is not None:
        _check_shape(folder / INDEX, facts.camera, items[0].files[1])
    return Dataset(
        name,
        LAYOUT,
        items,
        # The figures published for these sets resize by OpenCV's bilinear.
        Customs(facts.min_depth_m, facts.max_depth_m, resize="half-pixel"),
        missing_warning(missing, "depth/NAME.png", len(pictures))
        + lone_warning(lone)
        + pose_warning(lost, len(items)),
        files=(folder / INDEX, folder / POSES),
        left_out=len(missing) + len(lone),
        uses_options=(SCALE, INVALID),
    )


def read_facts(path: Path) -> Facts:
    """Read and check ``dataset.json``.

    Raises:
        SourceError: it cannot be read, lacks a number, or has one that means nothing.
    """
    try:
        about = read_object(path)
        unit_m, low_m, high_m = (about.number(key) for key in _RANGE)
    except SourceError as error:
        raise SourceError(
            f"{path} does not say depth_unit_m, min_depth_m and max_depth_m as numbers ({error})"
        ) from error
    if not unit_m > 0:
        raise SourceError(f"{path} says depth_unit_m {unit_m:g}: give metres above 0")
    return Facts(
        unit_m,
        low_m,
        high_m,
        _invalid(about) if "invalid" in about.content else (),
        None if about.content.get("intrinsics") is None else _camera(about),
        bool(about.content.get("fps")) and about.number("fps", above=0) > 0,
    )


def _invalid(about: JsonObject) -> tuple[float, ...]:
    """Values that mean unknown: a list of numbers, or one alone."""
    given = about.value("invalid")
    values = given if isinstance(given, list) else [given]
    if not all(map(is_number, values)):
        raise about.wrong("invalid", "a number or a list of them")
    return tuple(map(float, values))


def _camera(about: JsonObject) -> Intrinsics:
    """The intrinsics: fx, fy, cx, cy in pixels of a width x height picture, or of the depth map."""
    given = about.value("intrinsics")
    content = given if isinstance(given, dict) else {}
    numbers: list[Any] = [content.get(key) for key in _PIXELS]
    sides = [content[key] for key in ("width", "height") if content.get(key) is not None]
    if (
        not all(map(is_number, (*numbers, *sides)))
        or not all(number > 0 for number in numbers[:2])
        or not all(side >= 1 and side % 1 == 0 for side in sides)
        or len(sides) == 1
    ):
        raise about.wrong(
            "intrinsics",
            "fx, fy (above 0), cx, cy in pixels and, both or neither, the width and height of the "
            "picture that they are for",
        )
    fx, fy, cx, cy = map(float, numbers)
    return Intrinsics(fx, fy, cx, cy, *map(int, sides))


def _check_shape(index: Path, camera: Intrinsics, depth: Path) -> None:
    """Refuse intrinsics of another aspect ratio than the depth maps': scaling cannot fit them."""
    try:
        height, width = read_values(depth).shape
    except SourceError:  # said when its turn comes
        return
    if not camera.is_of_shape(height, width):
        raise SourceError(
            f"{index} gives intrinsics for {camera.width}x{camera.height}, but {depth.name} is "
            f"{width}x{height}, of another shape: give those of the depth maps"
        )


def _poses(path: Path) -> dict[str, NDArray[np.float64] | None]:
    """The poses by frame name; None where a line holds no valid pose."""
    if not path.is_file():
        return {}
    found = {}
    for words in read_number_lines(path):
        try:
            numbers = [float(word) for word in words[1:8]]
            found[words[0]] = usable_pose(numbers)
        except ValueError as error:
            line = " ".join(words)[:80]
            raise SourceError(f"{path} has no pose in the line {line!r}") from error
    return found

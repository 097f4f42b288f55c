"""TUM RGB-D (Sturm et al., IROS 2012): ``rgb.txt``, ``depth.txt``, ``groundtruth.txt``; PNG/5000 m.

Colour and depth have clocks of their own: pairs are associated by time, the nearest first, at most
0.02 s apart, each file once (the rule of the benchmark's ``associate.py``). Poses are the nearest
ground truth within 0.02 s. Intrinsics are those that the benchmark's page gives for freiburg1, 2
and 3, by the folder's name, else ROS' default.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import SourceError
from depthrt_benchmarks.evaluation.datasets.base import (
    INVALID,
    SCALE,
    Dataset,
    Item,
    ReadOptions,
    missing_warning,
    pose_warning,
    require_items,
)
from depthrt_benchmarks.evaluation.datasets.formats.files import read_number_lines, read_pair
from depthrt_benchmarks.evaluation.metrics.tae import Intrinsics, usable_pose
from depthrt_benchmarks.evaluation.protocol.protocol import Customs

LAYOUT = "tum"
LISTS, TRUTH = ("rgb.txt", "depth.txt"), "groundtruth.txt"
UNIT_M = 1 / 5000
MAX_DIFFERENCE_S = 0.02
CAMERAS = {
    "freiburg1": Intrinsics(517.3, 516.5, 318.6, 255.3),
    "freiburg2": Intrinsics(520.9, 521.0, 325.1, 249.7),
    "freiburg3": Intrinsics(535.4, 539.2, 320.1, 247.6),
}
DEFAULT_CAMERA = Intrinsics(525.0, 525.0, 319.5, 239.5)


def is_here(folder: Path) -> bool:
    """Whether the folder looks like this layout."""
    return all((folder / part).is_file() for part in LISTS)


def open_dataset(folder: Path, options: ReadOptions) -> Dataset:
    """Open it.

    Raises:
        SourceError: a list that cannot be read, or no pair.
    """
    colours, depths = (_stamped(folder / part) for part in LISTS)
    unit_m = options.depth_scale or UNIT_M
    partners = dict(associate([t for t, _ in colours], [t for t, _ in depths]))
    poses = _poses(folder / TRUTH)
    name = folder.resolve().name
    known = next((c for key, c in CAMERAS.items() if key in name), None)
    camera = known or DEFAULT_CAMERA
    default = "the camera is ROS' default (for TAE alone): the folder's name says no other"
    items, missing, lost, gone = [], [], [], 0
    for number, (time_s, words) in enumerate(colours):
        picture = folder / words[0]
        partner = partners.get(number)
        depth = None if partner is None else folder / depths[partner][1][0]
        if depth is None or not depth.is_file() or not picture.is_file():
            missing.append(words[0])
            gone += depth is not None  # a picture without depth near in time is not counted
            continue
        read = partial(read_pair, picture, depth, unit_m, options.invalid)
        pose, unusable = _nearest(poses, time_s)
        lost += [picture.stem] * unusable
        items.append(Item(picture.stem, (picture, depth), read, name, pose, camera))
    require_items(items, folder, f"rgb and depth within {MAX_DIFFERENCE_S} s of one another")
    warnings = missing_warning(missing, f"depth within {MAX_DIFFERENCE_S} s", len(colours))
    warnings += pose_warning(lost, len(items))
    files = tuple(folder / part for part in (*LISTS, TRUTH))
    customs = Customs(1e-3, 10.0)
    return Dataset(
        name,
        LAYOUT,
        items,
        customs,
        warnings,
        files=files,
        left_out=gone,
        assumed=() if known else (default,),
        uses_options=(SCALE, INVALID),
    )


def associate(
    first_s: list[float], second_s: list[float], max_difference_s: float = MAX_DIFFERENCE_S
) -> list[tuple[int, int]]:
    """Indices of stamps (seconds) that belong together, in the order of ``first_s``.

    The closest pair is taken first; no stamp is used twice.
    """
    other = np.asarray(second_s, np.float64)
    order = np.argsort(other, kind="stable")
    other = other[order]
    close = []
    for i, time_s in enumerate(first_s):
        begin = int(np.searchsorted(other, time_s - max_difference_s))
        end = int(np.searchsorted(other, time_s + max_difference_s, side="right"))
        close += [(abs(time_s - float(other[j])), i, int(order[j])) for j in range(begin, end)]
    taken: dict[int, int] = {}
    used: set[int] = set()
    for difference_s, i, j in sorted(close):
        if difference_s < max_difference_s and i not in taken and j not in used:
            taken[i] = j
            used.add(j)
    return sorted(taken.items())


def _stamped(path: Path) -> list[tuple[float, list[str]]]:
    lines = []
    for words in read_number_lines(path):
        try:
            lines.append((float(words[0]), [words[1], *words[2:]]))
        except (ValueError, IndexError) as error:
            line = " ".join(words)[:80]
            raise SourceError(f"{path} has no time stamp and value in {line!r}") from error
    return sorted(lines)


Poses = list[tuple[float, NDArray[np.float64] | None]]  # seconds, camera to world


def _poses(path: Path) -> Poses:
    """Every time stamp with its pose; None where a line holds no valid pose."""
    found: Poses = []
    for time_s, words in _stamped(path) if path.is_file() else []:
        try:
            found.append((time_s, usable_pose([float(word) for word in words[:7]])))
        except ValueError as error:
            line = " ".join(words)[:80]
            raise SourceError(f"{path} has no pose in {line!r}") from error
    return found


def _nearest(poses: Poses, time_s: float) -> tuple[NDArray[np.float64] | None, bool]:
    """The nearest pose in time, if near enough; and whether that one is not valid."""
    if not poses:
        return None, False
    times = np.array([t for t, _ in poses])
    index = int(np.argmin(np.abs(times - time_s)))
    if abs(times[index] - time_s) > MAX_DIFFERENCE_S:
        return None, False
    pose = poses[index][1]
    return pose, pose is None

"""Frames with measured depth, from a labelled set of any layout that ``depthrt eval`` reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import SourceError
from depthrt.frame import image_size
from depthrt.model.preprocess import content_size, prepare
from depthrt.spec import InputSpec, Kind, Unit
from depthrt_benchmarks.evaluation.dataset_warnings import findings
from depthrt_benchmarks.evaluation.datasets.base import Dataset, Item
from depthrt_benchmarks.evaluation.datasets.open import ReadOptions, open_datasets
from depthrt_benchmarks.evaluation.metrics.metrics import absolute_relative
from depthrt_benchmarks.evaluation.protocol.alignment import Align, fit, solve_space, to_depth_m
from depthrt_benchmarks.evaluation.protocol.protocol import MIN_PIXELS, Protocol
from depthrt_benchmarks.evaluation.protocol.resize import resize_to
from depthrt_benchmarks.evaluation.scoring.score import Row, View, score, view
from depthrt_benchmarks.evaluation.scoring.truth_warnings import assumed_units
from depthrt_calibration.frames import Sample, evenly, one_size


@dataclass(frozen=True, eq=False)
class Labelled:
    """A prepared frame, its depth, and how it is usually evaluated.

    - ``seen``: picture, depth in metres (float32 H,W; 0 where unknown) and which pixels count;
    - ``content``: height and width of the part of the prediction, from its top left, that is
      picture.
    """

    sample: Sample
    seen: View
    protocol: Protocol
    content: tuple[int, int]


def open_labelled(place: Path) -> list[Dataset]:
    """The labelled set of a folder, or all of those in its sub-folders.

    Raises:
        SourceError: nothing there, no known layout, or a set without a pair.
    """
    return open_datasets(place, None, ReadOptions())


def labelled_frames(sets: Sequence[Dataset], count: int, spec: InputSpec) -> list[Labelled]:
    """At most ``count`` pairs, spread evenly; those with fewer than ten valid pixels are left out.

    As everywhere, frames are prepared at one size: ``keep_aspect`` counts as ``stretch``.

    Raises:
        SourceError: a pair cannot be read, or none has enough depth.
    """
    pairs = [(each, item) for each in sets for item in each.items]
    found = [_frame(each, item, one_size(spec)) for each, item in evenly(pairs, count)]
    frames = [frame for frame in found if frame is not None]
    if not frames:
        names = ", ".join(each.name for each in sets)
        raise SourceError(f"no pair of {names} has {MIN_PIXELS} pixels of known depth in its range")
    return frames


def _frame(dataset: Dataset, item: Item, spec: InputSpec) -> Labelled | None:
    customs = dataset.customs
    # The alignment follows from the network, see below.
    protocol = Protocol(
        "none", customs.crop, customs.min_depth_m, customs.max_depth_m, customs.resize
    )
    seen = view(item.read(), protocol)
    if int(seen.valid.sum()) < protocol.min_pixels:
        return None
    size = image_size(seen.image)
    sample = Sample(prepare(seen.image, spec), f"{dataset.name}/{item.name}", size)
    return Labelled(sample, seen, protocol, content_size(size, spec))


def absolute_relative_error(
    prediction: NDArray[np.float32], frame: Labelled, kind: Kind, unit: Unit | None = None
) -> float:
    """AbsRel, mean |p - g| / g over the valid pixels of one frame, as ``depthrt eval`` has it.

    Protocol: padding cut off, prediction resized to the ground truth (bilinear); crop and range of
    the set; depth in metres as it is; else ``disparity-lsq`` (Ranftl et al., TPAMI 2022) to inverse
    depth, or the same solve on depth for a network of depth (Ke et al., Marigold, CVPR 2024);
    clamped to the range of the set.
    """
    seen, protocol, align = frame.seen, frame.protocol, _align(kind, unit)
    rows, columns = frame.content
    height, width = seen.truth_m.shape
    picture = np.ascontiguousarray(prediction[:rows, :columns])
    resized = resize_to(picture, (height, width), protocol.resize)
    truth = seen.truth_m[seen.valid].astype(np.float64)
    space = solve_space(resized[seen.valid], kind, align)
    line = fit(space, truth, align)
    depth_m = to_depth_m(space, line, align, protocol.min_depth_m, protocol.max_depth_m)
    return absolute_relative(depth_m, truth)


def remarks(
    sets: Sequence[Dataset],
    frames: Sequence[Labelled],
    depth_of: Callable[[Sample], NDArray[np.float32]],
    kind: Kind,
    unit: Unit | None = None,
) -> tuple[str, ...]:
    """What ``depthrt eval`` would say of the sets, a line each: assumed, left out, or odd.

    Args:
        sets: where the frames come from.
        frames: those that are judged on.
        depth_of: a network's depth of a frame, h,w.
        kind: what the depth means.
        unit: of the depth.
    """
    lines: list[str] = []
    for each in sets:
        mine = [frame for frame in frames if frame.sample.label.startswith(f"{each.name}/")]
        rows = [_row(frame, depth_of(frame.sample), kind, unit) for frame in mine]
        units = assumed_units(rows) if each.unit_assumed else []
        odd = findings(rows, _protocol(mine[0], kind, unit), kind) if mine else []
        lines += [f"{each.name}: {line}" for line in (*each.assumed, *units, *each.warnings, *odd)]
    return tuple(lines)


def _row(frame: Labelled, depth: NDArray[np.float32], kind: Kind, unit: Unit | None) -> Row:
    rows, columns = frame.content
    picture = np.ascontiguousarray(depth[:rows, :columns])
    return score(frame.sample.label, frame.seen, picture, kind, _protocol(frame, kind, unit))


def _protocol(frame: Labelled, kind: Kind, unit: Unit | None) -> Protocol:
    return replace(frame.protocol, align=_align(kind, unit))


def _align(kind: Kind, unit: Unit | None) -> Align:
    """As ``depthrt eval`` does: none for metres, else least squares in the output's own space."""
    if kind == "depth":
        return "none" if unit == "m" else "depth-lsq"
    return "disparity-lsq"

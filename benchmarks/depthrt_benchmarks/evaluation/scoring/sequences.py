"""The second pass over a video: one fit for all of its frames, figures by it, and TAE."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import SourceError
from depthrt.files.json_file import is_number
from depthrt.model.depth_model import DepthModel
from depthrt_benchmarks.evaluation.datasets.base import Dataset, Item, Pair
from depthrt_benchmarks.evaluation.metrics.tae import Intrinsics, reprojection_error
from depthrt_benchmarks.evaluation.protocol.alignment import Fit, Moments
from depthrt_benchmarks.evaluation.protocol.crops import corner
from depthrt_benchmarks.evaluation.protocol.protocol import Protocol
from depthrt_benchmarks.evaluation.scoring.predict import predict
from depthrt_benchmarks.evaluation.scoring.read_ahead import read_ahead, with_neighbours
from depthrt_benchmarks.evaluation.scoring.resume_file import ResumeFile
from depthrt_benchmarks.evaluation.scoring.score import Row, aligned_map, is_row, score, view


@dataclass(frozen=True, eq=False)
class _Frame:
    item: Item
    depth_m: NDArray[np.float32]
    valid: NDArray[np.bool_]
    camera: Intrinsics | None  # of the depth map as it is cut


def has_poses(dataset: Dataset) -> bool:
    """Whether frames of a video know where their camera was."""
    known = [i for i in dataset.items if i.sequence and i.pose is not None and i.camera is not None]
    return len(known) > 1


def second_pass(
    model: DepthModel,
    protocol: Protocol,
    dataset: Dataset,
    rows: list[Row],
    again: bool,
    journal: ResumeFile,
    progress: Callable[[str, int, int], None],
) -> tuple[list[Row], dict[str, float]]:
    """Align each sequence with its truth by one fit.

    Args:
        rows: what the first pass found, with the moments of every image.
        again: whether the figures are to come from the sequence's fit.

    Returns:
        the rows, measured again if asked for, and TAE in percent by sequence.
    """
    fits = sequence_fits(rows, protocol)
    items = list(dataset.items)
    journal.keep_only("sequence", _is_entry)
    known = [f"sequence {i.name}" in journal.entries or i.sequence not in fits for i in items]
    earlier: _Frame | None = None
    done = sum(known)
    with closing(read_ahead(with_neighbours(items, known))) as pairs:
        for item, pair in pairs:
            if isinstance(pair, SourceError) or item.sequence not in fits:
                earlier = None
                continue
            seen, line = view(pair, protocol), fits[item.sequence]
            output = predict(model, seen.image, protocol.flip).values
            depth_m = aligned_map(output, seen, model.spec.kind, protocol, line)
            camera = _camera(item, pair, protocol)
            frame = _Frame(item, depth_m.astype(np.float32), seen.valid, camera)
            errors = _errors(earlier, frame)
            earlier = frame
            if f"sequence {item.name}" in journal.entries:
                continue
            row = None
            if again:
                row = score(item.name, seen, output, model.spec.kind, protocol, line).as_dict()
            entry = {"row": row, "errors": errors}
            journal.put(f"sequence {item.name}", entry)
            done += 1
            progress(f"{dataset.name}, second pass", done, len(items))
    entries = {i.name: journal.entries.get(f"sequence {i.name}") for i in items}
    if again:
        rows = [_measured_again(row, entries[row.name]) for row in rows]
    return rows, _tae(items, entries)


def sequence_fits(rows: list[Row], protocol: Protocol) -> dict[str, Fit]:
    """One fit for each sequence: least squares over all its pixels, or its median factor."""
    members: dict[str, list[Row]] = {}
    for row in rows:
        if not row.skipped and row.sequence:
            members.setdefault(row.sequence, []).append(row)
    if protocol.align == "none":
        return dict.fromkeys(members, Fit())
    if protocol.align == "median":
        return {
            name: Fit(float(np.median([row.scale for row in own]))) for name, own in members.items()
        }
    return {
        name: sum((row.moments for row in own), Moments()).solve() for name, own in members.items()
    }


def _camera(item: Item, pair: Pair, protocol: Protocol) -> Intrinsics | None:
    """Of the depth map as the protocol cuts it."""
    if item.camera is None:
        return None
    height, width = pair.depth_m.shape
    return item.camera.at(height, width).cut(*corner(protocol.crop, height, width))


def _errors(earlier: _Frame | None, later: _Frame) -> list[float] | None:
    """AbsRel of each frame's depth moved into the other, forth and back, where both see it."""
    if earlier is None or earlier.item.sequence != later.item.sequence:
        return None
    first, second, camera = earlier.item.pose, later.item.pose, later.camera
    if first is None or second is None or camera is None:
        return None
    if earlier.depth_m.shape != later.depth_m.shape:
        return None
    forth: NDArray[np.float64] = np.linalg.inv(second) @ first
    back: NDArray[np.float64] = np.linalg.inv(first) @ second
    errors = (
        reprojection_error(earlier.depth_m, later.depth_m, forth, camera, later.valid),
        reprojection_error(later.depth_m, earlier.depth_m, back, camera, earlier.valid),
    )
    return [error for error in errors if error is not None]


def _measured_again(row: Row, entry: dict[str, Any] | None) -> Row:
    if row.skipped or entry is None or entry["row"] is None:
        return row
    again = Row.from_dict(entry["row"])
    return replace(
        again,
        sequence=row.sequence,
        flicker=row.flicker,
        moments=row.moments,
        outputs=row.outputs,
        non_finite=row.non_finite,
    )


def _is_entry(name: str, value: Any) -> bool:
    """Whether a journal's value is one that was put there."""
    if not isinstance(value, dict) or value.keys() != {"row", "errors"}:
        return False
    errors = value["errors"]
    fits = errors is None or (isinstance(errors, list) and all(map(is_number, errors)))
    return fits and (value["row"] is None or is_row(name, value["row"]))


def _tae(items: list[Item], entries: dict[str, dict[str, Any] | None]) -> dict[str, float]:
    """Percent by sequence: the mean over all neighbours, both directions (Video-Depth-Anything)."""
    found: dict[str, list[float]] = {}
    for item in items:
        entry = entries[item.name]
        if entry is not None and entry["errors"]:
            found.setdefault(item.sequence, []).extend(entry["errors"])
    return {name: 100 * float(np.mean(errors)) for name, errors in found.items()}

"""Warnings about the true depth: codes taken for distances, caps, 8 bits, mixed units, pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from depthrt_benchmarks.evaluation.datasets.formats.files import is_whole
from depthrt_benchmarks.evaluation.protocol.protocol import Protocol
from depthrt_benchmarks.evaluation.scoring.score import Row

_MIXED_UNITS = 200.0  # medians of one set that differ by more: nearer to 1000 than scenes are
_EIGEN_SIZE = (480, 640)


def of_truth(rows: Sequence[Row], protocol: Protocol) -> list[str]:
    """Sentences about the true depth of a set and its pictures."""
    known = [row for row in rows if row.truth.height]
    found = (_saturated(known), _plateau(known), _eight_bits(known), _mixed_types(known),
             _mixed_units(known), _scaled_crop(known, protocol), *_notes(known))  # fmt: skip
    return [sentence for sentence in found if sentence]


def assumed_units(rows: Sequence[Row]) -> list[str]:
    """Which unit was taken for depth files, by the type of their numbers."""
    types = sorted({row.truth.numbers for row in rows} - {""})
    units = {True: "millimetres, as whole numbers are", False: "metres, as real numbers are"}
    return [
        f"depth files of {numbers} are in {units[is_whole(numbers)]} (--depth-scale)"
        for numbers in types
    ]


def _saturated(rows: Sequence[Row]) -> str:
    held = [row for row in rows if row.truth.saturated]
    if not held:
        return ""
    pixels = sum(row.truth.height * row.truth.width for row in held)
    share = sum(row.truth.saturated for row in held) / pixels
    most = np.iinfo(held[0].truth.numbers).max
    return (
        f"{share:.2%} of the depth pixels of {len(held)} of {len(rows)} images hold {most}, the "
        f"largest {held[0].truth.numbers}: taken as 'nothing measured'"
    )


def _plateau(rows: Sequence[Row]) -> str:
    """One greatest depth in many pixels; of several images, it must be the same in half of them."""
    held = [row for row in rows if row.truth.plateau_m is not None]
    if not held:
        return ""
    depth_m, count = Counter(row.truth.plateau_m for row in held).most_common(1)[0]
    scored = [row for row in rows if not row.skipped]
    if 2 * count < len(scored) or depth_m is None:
        return ""
    members = [row for row in held if row.truth.plateau_m == depth_m]
    share = sum(row.truth.plateau for row in members) / sum(row.valid for row in members)
    return (
        f"{share:.1%} of the pixels that count in {count} of {len(scored)} images hold one "
        f"greatest depth, {depth_m:.6g} m (first: {members[0].name}): if it means sky or 'nothing "
        f"measured', leave it out by --max-depth {depth_m:.6g} or --invalid"
    )


def _eight_bits(rows: Sequence[Row]) -> str:
    held = [row for row in rows if row.truth.numbers in ("uint8", "int8")]
    if not held:
        return ""
    return (
        f"the depth of {len(held)} of {len(rows)} images has 8 bits (first: {held[0].name}): it "
        "seems to be a picture of depth, not a measurement"
    )


def _mixed_types(rows: Sequence[Row]) -> str:
    types = Counter(row.truth.numbers for row in rows if row.truth.numbers)
    if len({is_whole(numbers) for numbers in types}) < 2:
        return ""
    listed = ", ".join(f"{count} of {numbers}" for numbers, count in types.most_common())
    return f"depth files are of whole and of real numbers ({listed}): they may be of two units"


def _mixed_units(rows: Sequence[Row]) -> str:
    known = [row for row in rows if row.truth_median_m > 0]
    if not known:
        return ""
    least, most = (pick(known, key=lambda row: row.truth_median_m) for pick in (min, max))
    if most.truth_median_m < _MIXED_UNITS * least.truth_median_m:
        return ""
    return (
        f"the median of the true depth is {least.truth_median_m:.3g} m in {least.name}, but "
        f"{most.truth_median_m:.3g} m in {most.name}: it seems that the files are of two units"
    )


def _scaled_crop(rows: Sequence[Row], protocol: Protocol) -> str:
    sizes = Counter((row.truth.height, row.truth.width) for row in rows)
    sizes.pop(_EIGEN_SIZE, None)
    if "nyu-eigen" not in protocol.crop.split("+") or not sizes:
        return ""
    (height, width), _ = sizes.most_common(1)[0]
    count = sum(sizes.values())
    return (
        f"the crop nyu-eigen is of 480x640 and was scaled for {count} of {len(rows)} images (to "
        f"{height}x{width})"
    )


def _notes(rows: Sequence[Row]) -> list[str]:
    counts = Counter(note for row in rows for note in row.truth.notes)
    return [f"{count} of {len(rows)} pictures {note}" for note, count in counts.items()]

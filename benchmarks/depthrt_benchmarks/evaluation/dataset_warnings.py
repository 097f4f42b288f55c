"""Warnings of an evaluation: units, NaN, skipped images, inverted predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from depthrt.spec import Kind
from depthrt_benchmarks.evaluation.protocol.protocol import Protocol
from depthrt_benchmarks.evaluation.scoring.score import Row
from depthrt_benchmarks.evaluation.scoring.truth_warnings import of_truth

NEAREST_USUAL_M, FARTHEST_USUAL_M = 0.05, 500.0
TURNED_SHARE = 0.5
_FACTORS = (1000.0, 100.0)
_INFINITY: dict[Kind, str] = {
    "depth": "infinity counts as the far end of the range, NaN as the near one",
    "inverse_depth": "infinite inverse depth and NaN count as the near end of the range",
}


def findings(rows: Sequence[Row], protocol: Protocol, kind: Kind) -> list[str]:
    """Sentences, the most important first."""
    measured = [row for row in rows if not row.skipped]
    return [
        sentence
        for sentence in (
            _unit(rows),
            _prediction_unit(measured, protocol),
            _turned(measured, protocol),
            _non_finite(rows, kind),
            _skipped(rows),
            _unreadable(rows),
            _hollow(measured),
            *of_truth(rows, protocol),
            _aspect(rows),
        )
        if sentence
    ]


def _unit(rows: Sequence[Row]) -> str:
    """Metres taken for millimetres or the reverse, judged by the median of the truth."""
    known = [row.truth_median_m for row in rows if row.truth_median_m > 0]
    if not known:
        return ""
    middle = float(np.median(known))
    if middle > FARTHEST_USUAL_M:
        guess = "millimetres were taken for metres (--depth-scale 0.001)"
    elif middle < NEAREST_USUAL_M:
        guess = "metres were taken for millimetres (--depth-scale 1)"
    else:
        return ""
    return f"the median of the true depth is {middle:.4g} m: it seems that {guess}"


def _prediction_unit(rows: Sequence[Row], protocol: Protocol) -> str:
    ratios = [row.ratio for row in rows if row.ratio is not None]
    if protocol.align != "none" or not ratios:
        return ""
    middle = float(np.median(ratios))
    for factor in _FACTORS:
        for wrong in (factor, 1 / factor):
            if abs(middle / wrong - 1) < 0.5:
                return (
                    f"predictions are {middle:.3g} times the truth: it seems that the model does "
                    "not give metres (try --align median)"
                )
    return ""


def turned(rows: Sequence[Row]) -> int:
    """In how many images the least-squares scale is negative, so near and far are swapped."""
    return sum(row.scale < 0 for row in rows)


def _turned(rows: Sequence[Row], protocol: Protocol) -> str:
    if not protocol.align.endswith("lsq"):
        return ""
    count = turned(rows)
    if count <= TURNED_SHARE * len(rows):
        return ""
    return (
        f"the fit turned near and far round in {count} of {len(rows)} images: the model's spec "
        "may name the wrong kind (depth, inverse depth)"
    )


def _non_finite(rows: Sequence[Row], kind: Kind) -> str:
    bad = [row for row in rows if row.non_finite]
    if not bad:
        return ""
    count, total = sum(row.non_finite for row in rows), sum(row.outputs for row in rows)
    return (
        f"the network gave {count} NaN or infinite values ({count / max(total, 1):.2%}) in "
        f"{len(bad)} of {len(rows)} images (first: {bad[0].name}): {_INFINITY[kind]}"
    )


def _skipped(rows: Sequence[Row]) -> str:
    skipped = [row for row in rows if row.skipped and not _is_unreadable(row)]
    if not skipped:
        return ""
    return (
        f"{len(skipped)} of {len(rows)} images have too few valid pixels and were skipped (first: "
        f"{skipped[0].name})"
    )


def _unreadable(rows: Sequence[Row]) -> str:
    broken = [row for row in rows if _is_unreadable(row)]
    if not broken:
        return ""
    return (
        f"{len(broken)} of {len(rows)} images could not be used (first: "
        f"{broken[0].skipped.removeprefix('unreadable: ')})"
    )


def _hollow(rows: Sequence[Row]) -> str:
    hollow = [row for row in rows if row.hollow]
    if not hollow:
        return ""
    return (
        f"the figures of {len(hollow)} of {len(rows)} images say nothing about the model, but are "
        f"in the mean (first: {hollow[0].name}: {hollow[0].hollow})"
    )


def _aspect(rows: Sequence[Row]) -> str:
    odd = [row for row in rows if row.odd_aspect]
    if not odd:
        return ""
    return (
        f"picture and depth differ in shape in {len(odd)} of {len(rows)} images (first: "
        f"{odd[0].name}): they are stretched over one another, which is right only if both show "
        "the same view"
    )


def _is_unreadable(row: Row) -> bool:
    return row.skipped.startswith("unreadable")

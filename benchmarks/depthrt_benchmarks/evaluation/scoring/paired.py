"""Two models on one set, compared image by image."""

from __future__ import annotations

from dataclasses import dataclass

from depthrt_benchmarks.evaluation.scoring.evaluate import Evaluation
from depthrt_benchmarks.evaluation.scoring.statistics import Difference, paired_differences


@dataclass(frozen=True)
class PairedDifferences:
    """Two models on one set; a positive difference means that the second's figure is larger."""

    dataset: str
    first: str
    second: str
    differences: list[Difference]
    warnings: list[str]


def differences(first: Evaluation, second: Evaluation) -> PairedDifferences:
    """The second model's figures minus the first's, and reasons to doubt the comparison."""
    found = paired_differences(first.rows, second.rows)
    warnings = []
    if first.protocol != second.protocol:
        warnings.append(
            f"not the same protocol ({first.protocol.split(';')[0]} and "
            f"{second.protocol.split(';')[0]}): compare with care"
        )
    images = max((d.images for d in found), default=0)
    if images < len(first.scored):
        warnings.append(f"{images} of {len(first.scored)} images were measured for both")
    other = _other_truth(first, second)
    if other:
        warnings.append(
            f"{len(other)} images have other valid pixels (first: {other[0]}): it seems that they "
            "are of two sets"
        )
    return PairedDifferences(first.dataset, first.model, second.model, found, warnings)


def _other_truth(first: Evaluation, second: Evaluation) -> list[str]:
    """Images of the same name whose valid pixels differ in number under the same range and crop."""
    ranges = {e.protocol.partition(";")[2] for e in (first, second)}
    if len(ranges) > 1:
        return []
    valid = {row.name: row.valid for row in second.scored}
    return [row.name for row in first.scored if valid.get(row.name, row.valid) != row.valid]

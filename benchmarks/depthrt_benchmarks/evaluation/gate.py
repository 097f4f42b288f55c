"""`depthrt eval --max-abs-rel`: the gate, checked before anything is measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

from depthrt.errors import AccuracyGateError, UsageError
from depthrt_benchmarks.evaluation.clip import is_clip
from depthrt_benchmarks.evaluation.job import Outcome
from depthrt_benchmarks.evaluation.statistics import means


def check_gate(most: float | None, datasets: Sequence[str]) -> None:
    """Refuse a gate that could not fail; None is no gate.

    Raises:
        UsageError: it is no number above 0, or no labelled set is to be measured.
    """
    if most is None:
        return
    if not 0 < most < math.inf:
        raise UsageError(f"--max-abs-rel {most:g} must be a number above 0, for instance 0.2")
    if all(map(is_clip, datasets)):
        raise UsageError(
            "--max-abs-rel needs a labelled set: a clip has no true depth, so no AbsRel would be "
            "measured"
        )


def gate(outcome: Outcome, most: float | None) -> None:
    """Refuse a model that errs more than allowed; models it is compared with do not count.

    Raises:
        AccuracyGateError: its AbsRel on a set is above ``most``, or is no number.
    """
    if most is None:
        return
    first = outcome.models[0]["model"]
    for found in outcome.evaluations:
        value = means(found.measured)["abs_rel"].value
        if found.model == first and not value <= most:
            raise AccuracyGateError(
                f"AbsRel of {found.model} on {found.dataset} is {value:.4f}, more than the "
                f"{most:g} allowed by --max-abs-rel"
            )

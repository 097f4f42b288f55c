"""Which images a gate judges, and how many it needs.

An image is judged when it and its depth can be read, enough of its pixels are valid, and its
figures say something of the model (:attr:`Row.hollow`). Pictures without a depth file and depth
files without a picture are images that were not judged. What ``--max-images`` leaves out is not
missed: the user chose it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from depthrt.errors import AccuracyGateError, UsageError
from depthrt_benchmarks.evaluation.dataset_warnings import TURNED_SHARE, turned
from depthrt_benchmarks.evaluation.scoring.clip import is_clip
from depthrt_benchmarks.evaluation.scoring.evaluate import Evaluation, NothingScoredError
from depthrt_benchmarks.evaluation.scoring.score import Row

ALL_IMAGES = "100%"


@dataclass(frozen=True)
class Need:
    """How many images of a set must be judged: a number or a share."""

    text: str = ALL_IMAGES
    count: int = 0
    share: float = 1.0

    def of(self, images: int) -> int:
        """The number for a set of so many, at least 1."""
        return self.count or max(1, math.ceil(self.share * images - 1e-9))

    @classmethod
    def parse(cls, text: str) -> Need:
        """``500``, or ``95%``.

        Raises:
            UsageError: something else, 0, or more than 100%.
        """
        found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)(%?)", text.strip(), re.ASCII)
        number = float(found[1]) if found else 0.0
        if found and found[2] and 0 < number <= 100:
            return cls(text, share=number / 100)
        if found and not found[2] and number >= 1 and number.is_integer():
            return cls(text, count=int(number))
        raise UsageError(
            f"--min-images {text}: give a number of images, as in 500, or a share of each set, as "
            "in 95%"
        )


def check_need(least: str | None, max_images: int | None, *, gated: bool) -> Need:
    """How many images the gates need, by ``--min-images`` and ``--max-images``.

    Raises:
        UsageError: no number of images, one that could never be met, or there is no gate.
    """
    if least is not None and not gated:
        raise UsageError(
            f"--min-images {least} is of a gate: give --max-abs-rel or --fail-worse, too"
        )
    need = Need.parse(ALL_IMAGES if least is None else least)
    if max_images is not None and need.count > max_images:
        raise UsageError(
            f"--min-images {least} is more than the {max_images} that --max-images leaves"
        )
    return need


def require_labels(option: str, datasets: Sequence[str]) -> None:
    """Refuse a gate where nothing but clips is to be measured.

    Raises:
        UsageError: no labelled set is among them.
    """
    if all(map(is_clip, datasets)):
        raise UsageError(
            f"{option} needs a labelled set: a clip has no true depth, so no AbsRel would be "
            "measured"
        )


def judged_rows(found: Evaluation) -> list[Row]:
    """The images of an evaluation that a gate judges."""
    return [row for row in found.scored if not row.hollow and not row.non_finite]


def judge_nothing(need: Need, error: NothingScoredError) -> AccuracyGateError:
    """What becomes of a gate when not one image of a set could be measured."""
    return AccuracyGateError(
        f"0 of {error.images} images could be judged, but {need.of(error.images)} are needed "
        f"(--min-images {need.text}): {error}"
    )


def too_few(found: Evaluation, judged: int, need: Need) -> str:
    """That too few images were judged, with the first that was not and why."""
    return (
        f"{judged} of {found.images} images could be judged, but {need.of(found.images)} are "
        f"needed (--min-images {need.text}){_first_missed(found)}"
    )


def broken(found: Evaluation, judged: Sequence[Row]) -> list[str]:
    """What no gate passes: NaN or infinite values, and near and far turned round."""
    failures = []
    bad = [row for row in found.rows if row.non_finite]
    if bad:
        failures.append(
            f"the network gave NaN or infinite values in {len(bad)} of {len(found.rows)} images, "
            f"which `depthrt run` refuses (first: {bad[0].name})"
        )
    least_squares = found.protocol.split(";")[0].endswith("lsq")
    if least_squares and judged and turned(judged) > TURNED_SHARE * len(judged):
        failures.append(
            f"the fit turned near and far round in {turned(judged)} of {len(judged)} images: the "
            "model's spec names the wrong kind, or its depth is wrong"
        )
    return failures


def _first_missed(found: Evaluation) -> str:
    """An example of what was not judged, and why."""
    for row in found.rows:
        if why := _missed(row):
            return f" (first that could not: {row.name}: {why})"
    return " (of the others, picture or depth file is missing)"


def _missed(row: Row) -> str:
    if row.skipped:
        return row.skipped.removeprefix("unreadable: ")
    return row.hollow or ("NaN or infinite values" if row.non_finite else "")

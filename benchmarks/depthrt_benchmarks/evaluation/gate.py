"""`depthrt eval --max-abs-rel`: the gate, checked before anything is measured.

A gate passes when every set meets it. A set meets it when

- at least ``--min-images`` of its images were judged: all of them if not said;
- the mean AbsRel over the judged images is at most ``--max-abs-rel``;
- the network gave no NaN or infinite value, of which `depthrt run` would refuse the frame;
- least squares did not turn near and far round in more than half of the images.

An image is judged when it and its depth can be read, enough of its pixels are valid, and its
figures say something of the model (:attr:`Row.hollow`). Pictures without a depth file and depth
files without a picture are images that were not judged. What ``--max-images`` leaves out is not
missed: the user chose it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from depthrt.errors import AccuracyGateError, UsageError
from depthrt_benchmarks.evaluation.findings import TURNED_SHARE, turned
from depthrt_benchmarks.evaluation.protocol.protocol import Protocol
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


@dataclass(frozen=True)
class Gate:
    """The largest AbsRel allowed, and on how many images it must be known."""

    max_abs_rel: float
    need: Need


@dataclass(frozen=True)
class SetVerdict:
    """One set, judged.

    - ``abs_rel``: the mean over the judged images; None where there is none;
    - ``judged``, ``images``, ``needed``: how many images were judged, of how many, and had to be;
    - ``failures``: why it does not meet the gate, in words; empty where it does.
    """

    model: str
    dataset: str
    abs_rel: float | None
    judged: int
    images: int
    needed: int
    failures: tuple[str, ...]

    def sentence(self, gate: Gate) -> str:
        """The verdict with its figures."""
        counted = f"judged {self.judged} of {self.images} images"
        if self.failures:
            return f"gate failed: {self.model} on {self.dataset}: {'; '.join(self.failures)}"
        return (
            f"gate passed: AbsRel of {self.model} on {self.dataset} is {self.abs_rel:.4f}, at most "
            f"{gate.max_abs_rel:g} is allowed; {counted}, at least {self.needed} are needed"
        )


@dataclass(frozen=True)
class Verdict:
    """A gate's result: for every set, and for folders that are no sets."""

    gate: Gate
    sets: tuple[SetVerdict, ...]
    left_out: tuple[str, ...] = ()

    @property
    def failures(self) -> list[str]:
        """Why it is not passed; empty where it is."""
        found = [
            s.sentence(self.gate).removeprefix("gate failed: ") for s in self.sets if s.failures
        ]
        if not self.sets:
            found.append("no set was judged")
        return found + list(self.left_out)

    def lines(self) -> list[str]:
        """A line for each set, and one for each folder that was left out."""
        return [s.sentence(self.gate) for s in self.sets] + [
            f"gate failed: {line}" for line in self.left_out
        ]

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "max_abs_rel": self.gate.max_abs_rel,
            "min_images": self.gate.need.text,
            "passed": not self.failures,
            "sets": [{**asdict(s), "passed": not s.failures} for s in self.sets],
            "failures": self.failures,
        }

    def raise_if_failed(self) -> None:
        """Raise what the command line turns into exit code 3.

        Raises:
            AccuracyGateError: a set does not meet the gate, or there is none.
        """
        if self.failures:
            raise AccuracyGateError("; ".join(self.failures))


def check_gate(
    most: float | None, least: str | None, datasets: Sequence[str], max_images: int | None = None
) -> Gate | None:
    """The gate that was asked for, one that could not fail refused; None where none was.

    Args:
        most: ``--max-abs-rel``.
        least: ``--min-images``.
        datasets: what is to be measured.
        max_images: ``--max-images``.

    Raises:
        UsageError: it is no number above 0, no number of images, one that could never be met, or
            no labelled set is to be measured.
    """
    if most is None:
        if least is not None:
            raise UsageError(f"--min-images {least} is of a gate: give --max-abs-rel, too")
        return None
    if not 0 < most < math.inf:
        raise UsageError(f"--max-abs-rel {most:g} must be a number above 0, for instance 0.2")
    if all(map(is_clip, datasets)):
        raise UsageError(
            "--max-abs-rel needs a labelled set: a clip has no true depth, so no AbsRel would be "
            "measured"
        )
    need = Need.parse(ALL_IMAGES if least is None else least)
    if max_images is not None and need.count > max_images:
        raise UsageError(
            f"--min-images {least} is more than the {max_images} that --max-images leaves"
        )
    return Gate(most, need)


def check_range(gate: Gate, dataset: str, protocol: Protocol) -> None:
    """Refuse a gate that no prediction could fail, since it is clamped to a narrow range.

    Raises:
        UsageError: the largest AbsRel inside the range is allowed.
    """
    worst = protocol.max_depth_m / protocol.min_depth_m - 1
    if gate.max_abs_rel >= worst:
        raise UsageError(
            f"--max-abs-rel {gate.max_abs_rel:g} could not fail on {dataset}: depth is judged and "
            f"clamped between {protocol.min_depth_m:g} and {protocol.max_depth_m:g} m, where "
            f"AbsRel is at most {worst:.3g}"
        )


def judge(gate: Gate, evaluations: Iterable[Evaluation], left_out: Iterable[str]) -> Verdict:
    """What the gate says of a model.

    Args:
        gate: what is allowed.
        evaluations: of this one model, one for each set.
        left_out: folders beside the sets that could not be opened as sets, in sentences.
    """
    return Verdict(gate, tuple(_judge_set(found, gate) for found in evaluations), tuple(left_out))


def judge_nothing(gate: Gate, error: NothingScoredError) -> AccuracyGateError:
    """What becomes of a gate when not one image of a set could be measured."""
    return AccuracyGateError(
        f"0 of {error.images} images could be judged, but {gate.need.of(error.images)} are needed "
        f"(--min-images {gate.need.text}): {error}"
    )


def _judge_set(found: Evaluation, gate: Gate) -> SetVerdict:
    judged = [row for row in found.scored if not row.hollow and not row.non_finite]
    errors = [row.metrics.get("abs_rel", math.nan) for row in judged]
    abs_rel = float(np.mean(errors)) if errors else None
    needed = gate.need.of(found.images)
    failures = []
    if abs_rel is not None and not abs_rel <= gate.max_abs_rel:  # so that NaN fails, too
        failures.append(
            f"AbsRel is {abs_rel:.4f}, more than the {gate.max_abs_rel:g} allowed by --max-abs-rel"
        )
    if len(judged) < needed:
        failures.append(
            f"{len(judged)} of {found.images} images could be judged, but {needed} are needed "
            f"(--min-images {gate.need.text}){_first_missed(found)}"
        )
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
    return SetVerdict(
        found.model, found.dataset, abs_rel, len(judged), found.images, needed, tuple(failures)
    )


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

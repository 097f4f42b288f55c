"""`depthrt eval --max-abs-rel`: the gate, checked before anything is measured.

A gate passes when every set meets it. A set meets it when

- at least ``--min-images`` of its images were judged: all of them if not said;
- the mean AbsRel over the judged images is at most ``--max-abs-rel``;
- the network gave no NaN or infinite value, of which `depthrt run` would refuse the frame;
- least squares did not turn near and far round in more than half of the images.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from depthrt.errors import AccuracyGateError, UsageError
from depthrt_benchmarks.evaluation.gates.judged_images import (
    Need,
    broken,
    judged_rows,
    require_labels,
    too_few,
)
from depthrt_benchmarks.evaluation.protocol.protocol import Protocol
from depthrt_benchmarks.evaluation.scoring.evaluate import Evaluation


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


def check_gate(most: float | None, need: Need, datasets: Sequence[str]) -> Gate | None:
    """The gate that was asked for by ``--max-abs-rel``; None where none was.

    Raises:
        UsageError: it is no number above 0, or no labelled set is to be measured.
    """
    if most is None:
        return None
    if not 0 < most < math.inf:
        raise UsageError(f"--max-abs-rel {most:g} must be a number above 0, for instance 0.2")
    require_labels("--max-abs-rel", datasets)
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


def _judge_set(found: Evaluation, gate: Gate) -> SetVerdict:
    judged = judged_rows(found)
    errors = [row.metrics.get("abs_rel", math.nan) for row in judged]
    abs_rel = float(np.mean(errors)) if errors else None
    needed = gate.need.of(found.images)
    failures = []
    if abs_rel is not None and not abs_rel <= gate.max_abs_rel:  # so that NaN fails, too
        failures.append(
            f"AbsRel is {abs_rel:.4f}, more than the {gate.max_abs_rel:g} allowed by --max-abs-rel"
        )
    if len(judged) < needed:
        failures.append(too_few(found, len(judged), gate.need))
    failures += broken(found, judged)
    return SetVerdict(
        found.model, found.dataset, abs_rel, len(judged), found.images, needed, tuple(failures)
    )

"""`depthrt eval MODEL SETS --compare BASE --fail-worse [MARGIN]`: is MODEL surely worse than BASE?

Both models see the same images, so their AbsRel is compared image by image. The gate fails when the
mean AbsRel is surely more than MARGIN above the base's, a share of the base's: when the interval of
the excess (model - (1 + MARGIN) * base, image by image) lies above 0. The intervals of all sets and
bases hold together at 99% (Bonferroni), so a model that is no worse than allowed fails at most once
in 100 runs.

It also fails, rather than pass, where nothing was compared: one model on both sides, another
protocol or truth, a set that the base was not measured on, or fewer images than ``--min-images``
asks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from depthrt.errors import AccuracyGateError, UsageError
from depthrt.model.depth_model import DepthModel
from depthrt_benchmarks.evaluation.gates.judged_images import (
    Need,
    broken,
    judged_rows,
    require_labels,
    too_few,
)
from depthrt_benchmarks.evaluation.scoring.evaluate import Evaluation
from depthrt_benchmarks.evaluation.scoring.score import Row
from depthrt_benchmarks.evaluation.scoring.statistics import bootstrap_mean

OPTION = "--fail-worse"
DEFAULT_MARGIN = "1%"
CONFIDENCE = 0.99
_RESAMPLES = 10_000
_FEWEST = 2  # images; one has no interval
_SHARE = re.compile(r"-?\d*\.?\d+%?", re.ASCII)


@dataclass(frozen=True)
class WorseGate:
    """By which share of the base's AbsRel a model may be worse, and on how many images."""

    margin: float
    need: Need


@dataclass(frozen=True)
class WorseVerdict:
    """A model beside one base on one set.

    - ``abs_rel``, ``base_abs_rel``: means over the images that were judged for both;
    - ``difference``, ``low``, ``high``: of the means, model minus base, with its interval;
    - ``allowed``: the largest difference allowed; all of them None where nothing was compared;
    - ``images``, ``needed``: how many images were judged for both, and had to be;
    - ``failures``: why it does not meet the gate, in words; empty where it does.
    """

    model: str
    base: str
    dataset: str
    images: int
    needed: int
    failures: tuple[str, ...]
    abs_rel: float | None = None
    base_abs_rel: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    allowed: float | None = None

    def sentence(self) -> str:
        """The verdict with its figures."""
        sides = f"{self.model} beside {self.base} on {self.dataset}"
        if self.failures:
            return f"gate failed: {sides}: {'; '.join(self.failures)}"
        sure = self.high is not None and self.allowed is not None and self.high <= self.allowed
        how = "surely not worse" if sure else "not surely worse"
        return f"gate passed: {sides}: {how} than allowed: {self.figures()}"

    def figures(self) -> str:
        """AbsRel of both, and the difference with its interval."""
        return (
            f"AbsRel {self.abs_rel:.4f} against {self.base_abs_rel:.4f}, {self.difference:+.4f} "
            f"({self.low:+.4f} to {self.high:+.4f} with {CONFIDENCE:.0%}), "
            f"{self.allowed:+.4f} is allowed; {self.images} images"
        )


@dataclass(frozen=True)
class WorseVerdicts:
    """The gate's result: for all sets and bases, and for folders that are no sets."""

    gate: WorseGate
    found: tuple[WorseVerdict, ...]
    left_out: tuple[str, ...] = ()

    @property
    def failures(self) -> list[str]:
        """Why it is not passed; empty where it is."""
        found = [v.sentence().removeprefix("gate failed: ") for v in self.found if v.failures]
        if not self.found:
            found.append(f"{OPTION}: nothing was compared")
        return found + list(self.left_out)

    def lines(self) -> list[str]:
        """A line for each set and base."""
        return [verdict.sentence() for verdict in self.found] + [
            f"gate failed: {line}" for line in self.left_out
        ]

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "margin": self.gate.margin,
            "confidence": CONFIDENCE,
            "min_images": self.gate.need.text,
            "passed": not self.failures,
            "comparisons": [{**asdict(v), "passed": not v.failures} for v in self.found],
            "failures": self.failures,
        }


def with_margin(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command with the default margin where ``--fail-worse`` has none."""
    given = list(arguments)
    for place in reversed([i for i, word in enumerate(given) if word == OPTION]):
        following = given[place + 1] if place + 1 < len(given) else ""
        if not _SHARE.fullmatch(following):
            given.insert(place + 1, DEFAULT_MARGIN)
    return given


def check_worse(
    margin: str | None, need: Need, datasets: Sequence[str], against: Sequence[str]
) -> WorseGate | None:
    """The gate that was asked for by ``--fail-worse``; None where none was.

    Raises:
        UsageError: it is no share, there is no base, or no labelled set is to be measured.
    """
    if margin is None:
        return None
    share = _share(margin)
    if not 0 <= share <= 1:
        raise UsageError(
            f"{OPTION} {margin}: give the share by which AbsRel may exceed the base's, as in 0.02 "
            "or 2%"
        )
    if not against:
        raise UsageError(f"{OPTION} needs a base: give --compare MODEL, or the --csv of one")
    require_labels(OPTION, datasets)
    return WorseGate(share, need)


def _share(text: str) -> float:
    """``0.02`` or ``2%``; -1 where it is neither."""
    if not _SHARE.fullmatch(text):
        return -1.0
    return float(text.rstrip("%")) / (100 if text.endswith("%") else 1)


def refuse_one_model(model: DepthModel, bases: Sequence[DepthModel]) -> None:
    """Refuse a base that is the model itself, before anything is measured.

    Raises:
        AccuracyGateError: their files have the same content.
    """
    for base in bases:
        if base.sha256() == model.sha256():
            raise AccuracyGateError(
                f"nothing was compared: {model.path.name} and {base.path.name} are one model "
                f"(sha256 {model.sha256()[:12]})"
            )


def judge_worse(
    gate: WorseGate,
    sides: Sequence[tuple[Evaluation, str, Evaluation | None]],
    left_out: Iterable[str] = (),
) -> WorseVerdicts:
    """What the gate says of a model beside its bases.

    Args:
        gate: what is allowed.
        sides: the model on a set, a base's name, and the base on that set; None where it was not
            measured there.
        left_out: folders beside the sets that could not be opened as sets, in sentences.
    """
    alpha = (1 - CONFIDENCE) / max(len(sides), 1)
    found = tuple(_judge(gate, *side, alpha) for side in sides)
    return WorseVerdicts(gate, found, tuple(left_out))


def _judge(
    gate: WorseGate,
    own: Evaluation,
    name: str,
    base: Evaluation | None,
    alpha: float,
) -> WorseVerdict:
    needed = max(_FEWEST, gate.need.of(own.images))
    if base is None:
        why = f"nothing was compared: {name} was not measured on {own.dataset}"
        return WorseVerdict(own.model, name, own.dataset, 0, needed, (why,))
    pairs = _pairs(own, base)
    failures = _nothing_compared(own, base, pairs) or _few(own, len(pairs), gate.need)
    failures += broken(own, [row for row, _ in pairs])
    if len(pairs) < _FEWEST:
        return WorseVerdict(own.model, name, own.dataset, len(pairs), needed, tuple(failures))
    errors = [(row.metrics["abs_rel"], other.metrics["abs_rel"]) for row, other in pairs]
    excess = bootstrap_mean([a - (1 + gate.margin) * b for a, b in errors], alpha, _RESAMPLES)
    mean, base_mean = (sum(side) / len(errors) for side in zip(*errors, strict=True))
    allowed = gate.margin * base_mean
    found = WorseVerdict(
        own.model, name, own.dataset, len(pairs), needed, (), mean, base_mean, mean - base_mean,
        excess.low + allowed, excess.high + allowed, allowed,
    )  # fmt: skip
    if not excess.low <= 0:  # so that NaN fails, too
        failures.insert(0, f"surely worse than allowed: {found.figures()}")
    return WorseVerdict(**{**asdict(found), "failures": tuple(failures)})


def _pairs(own: Evaluation, base: Evaluation) -> list[tuple[Row, Row]]:
    """The images that are judged for both."""
    others = {row.name: row for row in judged_rows(base)}
    return [(row, others[row.name]) for row in judged_rows(own) if row.name in others]


def _nothing_compared(
    own: Evaluation,
    base: Evaluation,
    pairs: Sequence[tuple[Row, Row]],
) -> list[str]:
    """Why the two evaluations are no comparison of two models; empty where they are."""
    of_a_table = not base.layout
    if of_a_table and pairs and all(a.metrics == b.metrics for a, b in pairs):
        return ["nothing was compared: every figure is the base's, so the table is of this model"]
    if own.protocol != base.protocol:
        return [
            f"nothing was compared: not one protocol ({own.protocol.partition(';')[0]} and "
            f"{base.protocol.partition(';')[0]}; --align, --crop and the range make them one)"
        ]
    other = [a.name for a, b in pairs if a.valid != b.valid]
    if other:
        return [
            f"nothing was compared: {len(other)} images have other valid pixels (first: "
            f"{other[0]}), so the sets are not one"
        ]
    return []


def _few(own: Evaluation, count: int, need: Need) -> list[str]:
    """That too few images were judged for both; empty where there are enough."""
    if len(judged_rows(own)) < need.of(own.images):
        return [too_few(own, len(judged_rows(own)), need)]
    if count < need.of(own.images):
        return [
            f"{count} of {own.images} images could be judged for both, but {need.of(own.images)} "
            f"are needed (--min-images {need.text})"
        ]
    return [] if count >= _FEWEST else [f"{count} image has no interval: {_FEWEST} are needed"]

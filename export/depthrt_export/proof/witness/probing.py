"""Which way to feed and read a network is right where nobody said it: the judgement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist, fmean, stdev
from typing import Any

from depthrt.confidence_interval import student_t
from depthrt.model.registry import DEFAULT_MODEL
from depthrt_export.proof.witness.readings import COMMON, Reading, options_of

_MISSED = 0.01  # how often any of the intervals may be wrong, all rivals together
_SEEN = 0.15  # agreement that networks with random weights stay below
_SAME = 0.99  # rank correlation of a network's own depth, fed in two ways
_FEWEST = 8  # frames


@dataclass(frozen=True)
class Finding:
    """What the frames say of the readings that are open.

    - ``best``: the reading that agrees best; ``picked``: whether that is sure;
    - ``agreement``: mean local rank correlation of its depth with the built-in model's, -1..1;
      ``seen``: the lower end of its interval;
    - ``rival``: the reading that comes nearest, its mean, and by how much the best agrees better,
      with an interval of 99% for all rivals together; None where only one reading is open;
    - ``same``: other normalisations that give this network's depth again;
    - ``by_reading``: the mean of every open reading;
    - ``seconds``: how long it took.
    """

    picked: bool
    best: Reading
    agreement: float
    seen: float
    frames: int
    rival: Reading | None = None
    rival_agreement: float = 0.0
    difference: float = 0.0
    low: float = 0.0
    high: float = 0.0
    same: tuple[str, ...] = ()
    by_reading: Mapping[str, float] | None = None
    seconds: float = 0.0

    def facts(self) -> dict[str, Any]:
        """For the file's metadata."""
        return {"model": DEFAULT_MODEL, **asdict(self)}

    def evidence(self) -> str:
        """The figures, in a few words."""
        text = f"agreement with {DEFAULT_MODEL} {self.agreement:.2f} on {self.frames} frames"
        if self.rival is not None:
            text += (
                f", next best {self._other()} {self.rival_agreement:.2f}, difference "
                f"{self.difference:.2f} [{self.low:.2f}, {self.high:.2f}]"
            )
        if self.same:
            text += f"; {' and '.join(self.same)} give this network's depth again"
        return text

    def question(self) -> str:
        """Why nothing was picked, and what to say instead: one sentence."""
        frames = "or give --frames with pictures of the kind that the network was trained for"
        if self.seen <= _SEEN:
            return (
                f"{DEFAULT_MODEL} sees other depth however the network is fed (agreement "
                f"{self.agreement:.2f} at most on {self.frames} frames): say {_said(self.best)} "
                f"or whatever your network was trained with, {frames}"
            )
        assert_rival = self.rival or self.best
        return (
            f"{self.frames} frames do not tell {_named(self.best)} from {_named(assert_rival)} "
            f"(agreement with {DEFAULT_MODEL} {self.agreement:.2f} and {self.rival_agreement:.2f}, "
            f"difference {self.difference:.2f} [{self.low:.2f}, {self.high:.2f}]): say "
            f"{_said(self.best)}, or {_said(assert_rival)}, {frames}"
        )

    def _other(self) -> str:
        rival = self.rival or self.best
        if rival.normalisation == self.best.normalisation:
            return rival.direction
        if rival.direction == self.best.direction:
            return rival.normalisation
        return _named(rival)


def probe(
    readings: Sequence[Reading],
    nearness: Mapping[str, Sequence[float]],
    sameness: Mapping[str, Mapping[str, float]],
    seconds: float = 0.0,
) -> Finding:
    """Judge the readings that are open.

    Args:
        readings: those that are open, one or more.
        nearness: local rank correlation with nearness, by normalisation, frame by frame.
        sameness: mean rank correlation of the network's own depth, fed in two ways.
        seconds: how long the runs took.
    """
    agreements = {r: [r.sign * v for v in nearness[r.normalisation]] for r in readings}
    best = max(readings, key=lambda r: fmean(agreements[r]))
    ours = agreements[best]
    same = tuple(
        name
        for name in nearness
        if name != best.normalisation and sameness[best.normalisation][name] >= _SAME
    )
    rivals = [
        r
        for r in readings
        if r != best and not (r.direction == best.direction and r.normalisation in same)
    ]
    tests = 1 + len(rivals)
    seen = fmean(ours) - _reach(ours, tests)
    found = Finding(
        picked=seen > _SEEN and len(ours) >= _FEWEST,
        best=best,
        agreement=round(fmean(ours), 3),
        seen=round(seen, 3),
        frames=len(ours),
        same=same,
        by_reading={_named(r): round(fmean(values), 3) for r, values in agreements.items()},
        seconds=round(seconds, 1),
    )
    if not rivals:
        return found
    differences = {r: [a - b for a, b in zip(ours, agreements[r], strict=True)] for r in rivals}
    nearest = min(rivals, key=lambda r: fmean(differences[r]) - _reach(differences[r], tests))
    difference, reach = fmean(differences[nearest]), _reach(differences[nearest], tests)
    return replace(
        found,
        picked=found.picked and difference - reach > 0,
        rival=nearest,
        rival_agreement=round(fmean(agreements[nearest]), 3),
        difference=round(difference, 3),
        low=round(difference - reach, 3),
        high=round(difference + reach, 3),
    )


def _reach(values: Sequence[float], tests: int) -> float:
    """Half the width of the mean's interval by Student's t, one of several (Bonferroni)."""
    count = len(values)
    if count < 2:
        return math.inf
    z = NormalDist().inv_cdf(1 - _MISSED / (2 * tests))
    return student_t(z, count - 1) * stdev(values) / math.sqrt(count)


def _named(reading: Reading) -> str:
    return f"{reading.normalisation} and {reading.direction}"


def _said(reading: Reading) -> str:
    return f"--kind {reading.direction} {options_of(COMMON[reading.normalisation])}"

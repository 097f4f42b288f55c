"""Which way to feed and read a network is right where nobody said it: the judgement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist, fmean, stdev
from typing import Any

from depthrt.confidence_interval import student_t
from depthrt.model.catalogue.registry import DEFAULT_MODEL
from depthrt_export.proof.witness.comparing import COMMON, DIRECTIONS, Reading, options_of

_MISSED = 0.01  # how often a reading may seem better than another that is as good
_LOOKS = 2  # at most: the second, with more frames, where the first does not tell
_SEEN = 0.12  # agreement: networks with random weights reach 0.09
_SAME = 0.99  # rank correlation of a network's own depth, fed in two ways
_FEWEST = 8  # frames


@dataclass(frozen=True)
class Finding:
    """What the frames say of the readings that are open.

    - ``best``: the reading that agrees best; ``picked``: whether that is sure;
    - ``agreement``: mean local rank correlation of its depth with the built-in model's, -1..1;
      ``seen``: the lower end of its interval;
    - ``rival``: the reading that comes nearest, its mean, and by how much the best agrees better,
      with an interval of 99%; None where only one reading is open;
    - ``same``: other normalisations that give this network's depth again;
    - ``by_reading``: the mean of every open reading;
    - ``seconds``: how long it took;
    - ``open_normalisation``, ``open_direction``: which of both nobody said;
    - ``opposed``: the agreement, were the direction that was said the wrong one; 0 if it is open.
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
    open_normalisation: bool = True
    open_direction: bool = True
    opposed: float = 0.0

    @property
    def is_near(self) -> bool:
        """Whether depth is seen, and more frames may tell two readings apart."""
        return not self.picked and self.seen > _SEEN and self.rival is not None

    def facts(self) -> dict[str, Any]:
        """For the file's metadata."""
        return {"model": DEFAULT_MODEL, **asdict(self)}

    def evidence(self) -> str:
        """The figures, in a few words."""
        text = f"agreement with {DEFAULT_MODEL} {self.agreement:.2f} on {self.frames} frames"
        if self.rival is not None:
            text += (
                f", next best {self._beside(self.rival)} {self.rival_agreement:.2f}, difference "
                f"{self.difference:.2f} [{self.low:.2f}, {self.high:.2f}]"
            )
        if self.same:
            text += f"; {' and '.join(self.same)}: the same depth"
        return text

    def question(self) -> str:
        """Why nothing was picked, and what to say instead: one sentence."""
        frames = "or give --frames with pictures of the kind that the network was trained for"
        mine = self._options(self.best)
        if self.rival is not None and self.seen > _SEEN:
            return (
                f"how the network is fed and read is not said, and {self.frames} frames do not "
                f"tell {self._named(self.best)} from {self._beside(self.rival)} (agreement with "
                f"{DEFAULT_MODEL} {self.agreement:.2f} and {self.rival_agreement:.2f}, difference "
                f"{self.difference:.2f} [{self.low:.2f}, {self.high:.2f}]): say {mine} or "
                f"{self._options(self.rival)}, {frames}"
            )
        opposite = next(d for d in DIRECTIONS if d != self.best.direction)
        other = f", but {self.opposed:.2f} with --kind {opposite}" if self.opposed > _SEEN else ""
        return (
            "how the network is fed and read is not said, and cannot be found: "
            f"{DEFAULT_MODEL} sees other depth however it is fed (agreement {self.agreement:.2f} "
            f"at most on {self.frames} frames{other}): say {self._example()}, {frames}"
        )

    def _named(self, reading: Reading) -> str:
        """What was open of it."""
        words = [reading.normalisation] if self.open_normalisation else []
        return " and ".join([*words, reading.direction] if self.open_direction else words)

    def _beside(self, rival: Reading) -> str:
        """What of a rival is unlike the best."""
        if rival.normalisation == self.best.normalisation:
            return rival.direction
        return rival.normalisation if rival.direction == self.best.direction else self._named(rival)

    def _options(self, reading: Reading) -> str:
        parts = [f"--kind {reading.direction}"] if self.open_direction else []
        if self.open_normalisation:
            parts.append(options_of(COMMON[reading.normalisation]))
        return " ".join(parts)

    def _example(self) -> str:
        parts = ["--kind inverse-depth, depth or metric"] if self.open_direction else []
        if self.open_normalisation:
            parts.append("--mean, --std and --scale that it was trained with")
        return " and ".join(parts)


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
    open_direction = len({r.direction for r in readings}) > 1
    seen = fmean(ours) - _reach(ours, _MISSED)
    found = Finding(
        picked=seen > _SEEN and len(ours) >= _FEWEST,
        best=best,
        agreement=round(fmean(ours), 3),
        seen=round(seen, 3),
        frames=len(ours),
        same=same,
        by_reading={
            f"{r.normalisation}, {r.direction}": round(fmean(values), 3)
            for r, values in agreements.items()
        },
        seconds=round(seconds, 1),
        open_normalisation=len({r.normalisation for r in readings}) > 1,
        open_direction=open_direction,
        opposed=0.0 if open_direction else round(max(-fmean(v) for v in agreements.values()), 3),
    )
    if not rivals:
        return found
    differences = {r: [a - b for a, b in zip(ours, agreements[r], strict=True)] for r in rivals}
    # Divided between two looks at the frames (Bonferroni), of which either may pick.
    missed = _MISSED / _LOOKS
    nearest = min(rivals, key=lambda r: fmean(differences[r]) - _reach(differences[r], missed))
    difference, reach = fmean(differences[nearest]), _reach(differences[nearest], missed)
    return replace(
        found,
        picked=found.picked and difference - reach > 0,
        rival=nearest,
        rival_agreement=round(fmean(agreements[nearest]), 3),
        difference=round(difference, 3),
        low=round(difference - reach, 3),
        high=round(difference + reach, 3),
    )


def _reach(values: Sequence[float], missed: float) -> float:
    """How far the mean's interval reaches down by Student's t; the mean is lower by ``missed``.

    That is not divided by the number of rivals: to be picked, a reading has to beat each of them,
    so that a wrong one would have to beat the right one (intersection-union test; Berger,
    Technometrics 24, 1982).
    """
    count = len(values)
    if count < 2:
        return math.inf
    z = NormalDist().inv_cdf(1 - missed)
    return student_t(z, count - 1) * stdev(values) / math.sqrt(count)

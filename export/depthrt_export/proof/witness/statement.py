"""Whether what was said of a network's input and output is right, as the built-in model sees it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist, fmean, stdev
from typing import Any, Literal

import numpy as np

from depthrt.confidence_interval import student_t
from depthrt.model.catalogue.registry import DEFAULT_MODEL
from depthrt.model.depth_model import DepthModel
from depthrt_calibration.frames import Sample, evenly
from depthrt_export.proof.witness.comparing import (
    COMMON,
    DIRECTIONS,
    Direction,
    Reading,
    clip,
    common_name,
    depth_of,
    in_turn,
    options_of,
    rank_correlation,
)
from depthrt_export.sources.network import DepthNetwork, Normalisation, Reference

_MOST, _FEWEST = 16, 8  # frames
_SECONDS = 15.0  # for the runs, as far as more than the fewest frames are concerned
_BELIEVED = 0.55  # mean rank correlation; random networks reach 0.5 by where floors and skies are
_FAR = 0.05  # by which another way has to agree better
_CONFIDENCE = 0.99  # of the interval: ten other ways are looked at


@dataclass(frozen=True)
class Statement:
    """What the built-in model's depth says of a network.

    - ``said``: how the network is exported; ``other``: the best of the other readings;
    - ``agreement``, ``other_agreement``: mean rank correlation over the frames, -1..1;
    - ``difference``, ``low``, ``high``: by how much the other agrees better, from the frames' own
      differences, with a 99% interval;
    - ``by_normalisation``: agreement of every normalisation, in the direction that was said.
    """

    verdict: Literal["agrees", "contradicts", "cannot tell"]
    said: Reading
    agreement: float
    other: Reading
    other_agreement: float
    difference: float
    low: float
    high: float
    frames: int
    by_normalisation: dict[str, float]

    def facts(self) -> dict[str, Any]:
        """For the file's metadata."""
        return {"model": DEFAULT_MODEL, **asdict(self)}

    def line(self) -> str:
        """One sentence for the user."""
        figures = f"{self.agreement:.2f} on {self.frames} frames"
        if self.verdict == "cannot tell":
            best = max(self.agreement, self.other_agreement)
            if best >= _BELIEVED:
                return (
                    f"cannot tell {self._said()} ({figures}) from {self._other()} "
                    f"({self.other_agreement:.2f}): {DEFAULT_MODEL}'s depth is like both or like "
                    f"neither (difference {self.difference:.2f} [{self.low:.2f}, {self.high:.2f}])"
                )
            return (
                f"cannot tell whether normalisation and direction are right: {DEFAULT_MODEL} sees "
                f"other depth however the network is fed (rank correlation {best:.2f} at most, "
                f"{self.frames} frames)"
            )
        if self.verdict == "agrees":
            if math.isclose(self.agreement, self.other_agreement, abs_tol=_FAR):
                return (
                    f"{DEFAULT_MODEL} sees like depth (rank correlation {figures}); it cannot tell "
                    f"{self.said.normalisation} from {self.other.normalisation} "
                    f"({self.other_agreement:.2f})"
                )
            return (
                f"{DEFAULT_MODEL} sees like depth (rank correlation {figures}; next best "
                f"{self._other()}: {self.other_agreement:.2f})"
            )
        return (
            f"{DEFAULT_MODEL} agrees far better with {self._other()} ({self.other_agreement:.2f}) "
            f"than with {self._said()} ({figures}; difference {self.difference:.2f} "
            f"[{self.low:.2f}, {self.high:.2f}]): say {self._options()} if that is how your "
            "network was trained"
        )

    def _said(self) -> str:
        return self.said.normalisation if self._same_direction else self.said.direction

    def _other(self) -> str:
        if self._same_direction:
            return self.other.normalisation
        if self.other.normalisation == self.said.normalisation:
            return self.other.direction
        return f"{self.other.normalisation} and {self.other.direction}"

    @property
    def _same_direction(self) -> bool:
        return self.said.direction == self.other.direction

    def _options(self) -> str:
        parts = [] if self._same_direction else [f"--kind {self.other.direction}"]
        if self.other.normalisation != self.said.normalisation:
            parts.append(options_of(COMMON[self.other.normalisation]))
        return " ".join(parts)


def ask_witness(
    network: DepthNetwork,
    fed: Callable[[Normalisation], Reference],
    samples: Sequence[Sample],
    *,
    of_clip: bool,
) -> Statement:
    """Compare the network, fed in every common way, with the built-in model.

    Args:
        network: the network as it is to be exported.
        fed: the network fed with pixels of a normalisation.
        samples: frames prepared for it.
        of_clip: whether they are frames of depthrt's clip, which are joined to any others: scenes
            of one place may all look alike.
    """
    witness = DepthModel.load(DEFAULT_MODEL, provider="cpu")
    said, readings = _readings(network.normalisation)
    nearness: dict[str, list[float]] = {name: [] for name in readings}
    runs = {name: fed(how) for name, how in readings.items()}
    start_s = time.monotonic()
    for number, pixels in enumerate(in_turn(_sources(samples, network, of_clip))):
        if number >= _FEWEST and time.monotonic() - start_s > _SECONDS:
            break
        seen = witness(np.ascontiguousarray(pixels.transpose(1, 2, 0))).values
        for name, run in runs.items():
            nearness[name].append(rank_correlation(depth_of(run, pixels), seen))
    direction: Direction = "inverse-depth" if network.kind == "inverse_depth" else "depth"
    return judge(Reading(said, direction), nearness)


def judge(said: Reading, nearness: dict[str, list[float]]) -> Statement:
    """The verdict from each normalisation's rank correlation with nearness, frame by frame."""

    def agreement(reading: Reading) -> list[float]:
        return [reading.sign * value for value in nearness[reading.normalisation]]

    readings = [Reading(name, direction) for name in nearness for direction in DIRECTIONS]
    other = max((r for r in readings if r != said), key=lambda r: fmean(agreement(r)))
    ours, theirs = agreement(said), agreement(other)
    differences = [b - a for a, b in zip(ours, theirs, strict=True)]
    difference, reach = fmean(differences), _reach(differences)
    verdict: Literal["agrees", "contradicts", "cannot tell"] = "cannot tell"
    if fmean(theirs) >= _BELIEVED and difference > _FAR and difference - reach > 0:
        verdict = "contradicts"
    elif fmean(ours) >= _BELIEVED:
        verdict = "agrees"
    return Statement(
        verdict=verdict,
        said=said,
        agreement=round(fmean(ours), 3),
        other=other,
        other_agreement=round(fmean(theirs), 3),
        difference=round(difference, 3),
        low=round(difference - reach, 3),
        high=round(difference + reach, 3),
        frames=len(ours),
        by_normalisation={
            name: round(fmean(agreement(Reading(name, said.direction))), 3) for name in nearness
        },
    )


def _readings(how: Normalisation) -> tuple[str, dict[str, Normalisation]]:
    """The name of a normalisation, and all that are tried."""
    name = common_name(how)
    if name is None:
        return "the normalisation that was said", {"the normalisation that was said": how, **COMMON}
    return name, {**COMMON, name: how}


def _sources(samples: Sequence[Sample], network: DepthNetwork, of_clip: bool) -> list[list[Sample]]:
    if of_clip:
        return [evenly(samples, _MOST)]
    return [evenly(samples, _MOST // 2), clip(_MOST // 2, network.input)]


def _reach(differences: list[float]) -> float:
    """Half the width of the interval of the mean difference, by Student's t."""
    count = len(differences)
    z = NormalDist().inv_cdf((1 + _CONFIDENCE) / 2)
    return student_t(z, count - 1) * stdev(differences) / math.sqrt(count)

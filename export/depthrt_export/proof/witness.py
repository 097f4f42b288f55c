"""A witness for normalisation and direction: the depth of the built-in model on the same frames.

The proof cannot see a wrong normalisation, because PyTorch and the ONNX file get the same wrong
input. So the network is fed in several common ways, and each depth is compared with that of the
built-in model by rank correlation. Where another way, or the other direction, agrees far better,
that is said. Channel order changes too little to be told so.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from statistics import NormalDist, fmean, stdev
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.confidence_interval import student_t
from depthrt.model.depth_model import DepthModel
from depthrt.model.registry import DEFAULT_MODEL, DEMO_CLIP
from depthrt_calibration.frames import Sample, evenly, sample_frames
from depthrt_export.sources.network import DepthNetwork, Normalisation, Reference

Map: TypeAlias = NDArray[np.float32]  # h,w
Image: TypeAlias = NDArray[np.uint8]  # 3,h,w
Direction: TypeAlias = Literal["inverse-depth", "depth"]

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
COMMON = {
    "pixel/255": Normalisation(),
    "ImageNet": Normalisation(*_IMAGENET),
    "-1..1": Normalisation((0.5,) * 3, (0.5,) * 3),
    "0..255": Normalisation(scale=1.0),
    "-0.5..0.5": Normalisation((0.5,) * 3),
    "0..255 less ImageNet's mean": Normalisation((123.675, 116.28, 103.53), scale=1.0),
}
"""Ways to feed a network that are in use, by name."""

_GRID = (64, 48)  # columns and rows that depth is compared at
_MOST, _FEWEST = 16, 8  # frames
_SECONDS = 15.0  # for the runs, as far as more than the fewest frames are concerned
_BELIEVED = 0.55  # mean rank correlation; random networks reach 0.5 by where floors and skies are
_FAR = 0.05  # by which another way has to agree better
_CONFIDENCE = 0.99  # of the interval: ten other ways are looked at


@dataclass(frozen=True)
class Reading:
    """How a network is fed and what its output means."""

    normalisation: str
    direction: Direction


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


def options_of(how: Normalisation) -> str:
    """The options of the command line for a normalisation."""

    def three(values: tuple[float, float, float]) -> str:
        return ",".join(f"{value:g}" for value in (values if len(set(values)) > 1 else values[:1]))

    scale = "" if how.scale == Normalisation.scale else f" --scale {how.scale:g}"
    return f"--mean {three(how.mean)} --std {three(how.std)}{scale}"


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
    for number, pixels in enumerate(_frames(samples, network, of_clip)):
        if number >= _FEWEST and time.monotonic() - start_s > _SECONDS:
            break
        seen = witness(np.ascontiguousarray(pixels.transpose(1, 2, 0))).values
        for name, run in runs.items():
            nearness[name].append(rank_correlation(_depth(run, pixels), seen))
    direction: Direction = "inverse-depth" if network.kind == "inverse_depth" else "depth"
    return judge(Reading(said, direction), nearness)


def judge(said: Reading, nearness: dict[str, list[float]]) -> Statement:
    """The verdict from each normalisation's rank correlation with nearness, frame by frame."""

    def agreement(reading: Reading) -> list[float]:
        sign = 1 if reading.direction == "inverse-depth" else -1
        return [sign * value for value in nearness[reading.normalisation]]

    directions: tuple[Direction, Direction] = ("inverse-depth", "depth")
    readings = [Reading(name, direction) for name in nearness for direction in directions]
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


def rank_correlation(first: Map, second: Map) -> float:
    """Spearman's rank correlation of two depth maps at 64x48; 0 where one is flat or not finite."""
    small = [cv2.resize(depth, _GRID, interpolation=cv2.INTER_AREA) for depth in (first, second)]
    ranks = [_ranks(np.asarray(depth, np.float32)) for depth in small]
    centred = [r - r.mean() for r in ranks]
    norms = [float(np.linalg.norm(r)) for r in centred]
    if not all(np.isfinite(depth).all() for depth in (first, second)) or 0 in norms:
        return 0.0
    return float(centred[0] @ centred[1]) / (norms[0] * norms[1])


def _ranks(values: Map) -> NDArray[np.float64]:
    """Ranks of all values; equal values share their mean rank."""
    _, place, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place.ravel()], np.float64)


def _readings(how: Normalisation) -> tuple[str, dict[str, Normalisation]]:
    """The name of a normalisation, and all that are tried."""
    for name, common in COMMON.items():
        if _alike(how, common):
            return name, {**COMMON, name: how}
    return "the normalisation that was said", {"the normalisation that was said": how, **COMMON}


def _alike(first: Normalisation, second: Normalisation) -> bool:
    """Whether black and white reach the network as the same numbers, within 2%."""
    ends = []
    for how in (first, second):
        mean, std = np.array(how.mean), np.array(how.std)
        ends.append(np.stack([(p * how.scale - mean) / std for p in (0.0, 255.0)]))
    return bool(np.allclose(ends[0], ends[1], rtol=0, atol=0.02 * np.ptp(ends[1], axis=0).max()))


def _depth(run: Callable[[NDArray[np.uint8]], NDArray[np.float32]], pixels: Image) -> Map:
    try:
        return np.asarray(run(pixels[None])[0], np.float32)
    except Exception:  # a user's network may raise anything at numbers that it was not made for
        return np.zeros(pixels.shape[1:], np.float32)


def _frames(samples: Sequence[Sample], network: DepthNetwork, of_clip: bool) -> list[Image]:
    """The samples and frames of depthrt's clip in turn, each evenly spread from the start on."""
    sources = [evenly(list(samples), _MOST if of_clip else _MOST // 2)]
    if not of_clip and DEMO_CLIP.is_file():
        sources.append(sample_frames(None, _MOST // 2, network.input))
    apart = [[s.pixels for first in (0, 1) for s in source[first::2]] for source in sources]
    return [image for group in zip_longest(*apart) for image in group if image is not None]


def _reach(differences: list[float]) -> float:
    """Half the width of the interval of the mean difference, by Student's t."""
    count = len(differences)
    z = NormalDist().inv_cdf((1 + _CONFIDENCE) / 2)
    return student_t(z, count - 1) * stdev(differences) / math.sqrt(count)

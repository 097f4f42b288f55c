"""What the witness compares: ways to feed and read a network, frames, and depth maps by ranks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.model.catalogue.registry import DEMO_CLIP
from depthrt.spec import InputSpec
from depthrt_calibration.frames import Sample, sample_frames
from depthrt_export.sources.network import Normalisation

Map: TypeAlias = NDArray[np.float32]  # h,w

_GRID = (64, 48)  # columns and rows that depth is compared at
_AROUND = 2.0  # cells of the grid, standard deviation; edges tell normalisations apart best
Image: TypeAlias = NDArray[np.uint8]  # 3,h,w

SCENES = Path(__file__).with_name("scenes.mp4")
"""40 rooms, desks, corridors, streets and parks, drawn by the recipe in ``training``."""
MORE_SCENES = Path(__file__).with_name("more_scenes.mp4")
"""64 others, for where the first do not tell."""
Direction: TypeAlias = Literal["inverse-depth", "depth"]
DIRECTIONS: tuple[Direction, Direction] = ("inverse-depth", "depth")

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


@dataclass(frozen=True)
class Reading:
    """How a network is fed and what its output means."""

    normalisation: str
    direction: Direction

    @property
    def sign(self) -> int:
        """1 where larger is nearer, -1 where larger is farther."""
        return 1 if self.direction == "inverse-depth" else -1


def common_name(how: Normalisation) -> str | None:
    """The name of the common normalisation that a network could not tell from this one."""
    return next((name for name, common in COMMON.items() if _alike(how, common)), None)


def options_of(how: Normalisation) -> str:
    """The options of the command line for a normalisation."""

    def three(values: tuple[float, float, float]) -> str:
        return ",".join(f"{value:g}" for value in (values if len(set(values)) > 1 else values[:1]))

    scale = "" if how.scale == Normalisation.scale else f" --scale {how.scale:g}"
    return f"--mean {three(how.mean)} --std {three(how.std)}{scale}"


def _alike(first: Normalisation, second: Normalisation) -> bool:
    """Whether black and white reach the network as the same numbers, within 2%."""
    ends = []
    for how in (first, second):
        mean, std = np.array(how.mean), np.array(how.std)
        ends.append(np.stack([(p * how.scale - mean) / std for p in (0.0, 255.0)]))
    return bool(np.allclose(ends[0], ends[1], rtol=0, atol=0.02 * np.ptp(ends[1], axis=0).max()))


def rank_correlation(first: Map, second: Map) -> float:
    """Spearman's rank correlation of two depth maps at 64x48; 0 where one is flat or not finite."""
    return correlation(ranks(first), ranks(second))


def local_rank_correlation(first: Map, second: Map) -> float:
    """Likewise, of what stands out from its surroundings.

    Floors below and skies above make any two depth maps alike, even that of a network that sees
    nothing. The ranks' Gaussian mean around each point takes this out.
    """
    return correlation(stands_out(ranks(first)), stands_out(ranks(second)))


def ranks(depth: Map) -> NDArray[np.float64]:
    """Ranks 48,64 around 0; equal values share their mean rank; all 0 where one is not finite."""
    small = np.asarray(cv2.resize(depth, _GRID, interpolation=cv2.INTER_AREA), np.float32)
    if not np.isfinite(depth).all():
        return np.zeros(small.shape)
    _, place, counts = np.unique(small.ravel(), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    found = (last - (counts - 1) / 2)[place.ravel()].reshape(small.shape)
    return np.asarray(found - found.mean(), np.float64)


def stands_out(of_ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """What of ranks 48,64 the neighbourhood does not say."""
    return np.asarray(of_ranks - cv2.GaussianBlur(of_ranks, (0, 0), _AROUND), np.float64)


def correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The cosine between two maps of ranks; 0 where one is flat."""
    norms = float(np.linalg.norm(first)), float(np.linalg.norm(second))
    return float(first.ravel() @ second.ravel()) / (norms[0] * norms[1]) if min(norms) else 0.0


def clip(count: int, spec: InputSpec) -> list[Sample]:
    """Frames of depthrt's clip, if it is installed."""
    return sample_frames(None, count, spec) if DEMO_CLIP.is_file() else []


def scenes(count: int, spec: InputSpec, path: Path) -> list[Sample]:
    """Frames of :data:`SCENES` or :data:`MORE_SCENES`."""
    return sample_frames(str(path), count, spec)


def in_turn(sources: Sequence[Sequence[Sample]]) -> list[Image]:
    """Frames of all sources in turn, each evenly spread from the start on."""
    apart = [[s.pixels for first in (0, 1) for s in source[first::2]] for source in sources]
    return [image for group in zip_longest(*apart) for image in group if image is not None]


def depth_of(run: Callable[[NDArray[np.uint8]], NDArray[np.float32]], pixels: Image) -> Map:
    """A network's depth h,w; all 0 where it fails."""
    try:
        return np.asarray(run(pixels[None])[0], np.float32)
    except Exception:  # a user's network may raise anything at numbers that it was not made for
        return np.zeros(pixels.shape[1:], np.float32)

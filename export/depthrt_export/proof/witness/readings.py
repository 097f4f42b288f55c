"""Ways to feed a network and to read its depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from depthrt_export.sources.network import Normalisation

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

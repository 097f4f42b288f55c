"""What every source of a trained network is turned into before it is exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from depthrt.spec import InputSpec, Kind, Unit

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Normalisation:
    """What the network expects of a pixel p in 0..255: ``(p * scale - mean) / std`` per channel."""

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    scale: float = 1 / 255


@dataclass(frozen=True, eq=False)
class DepthNetwork:
    """A trained depth network and all that its file or its user says of it.

    ``module`` is in eval mode on the CPU in float32 and maps normalised float32 N,3,H,W to depth
    as N,H,W or N,1,H,W.
    """

    module: nn.Module
    name: str
    kind: Kind
    input: InputSpec
    normalisation: Normalisation
    unit: Unit | None = None
    valid_range: tuple[float, float] | None = None
    licence: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)

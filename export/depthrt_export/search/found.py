"""What a search may cost, and what it came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from depthrt_export.quantise.targets import Target
from depthrt_export.search.candidates import Candidate, front


@dataclass(frozen=True)
class Limits:
    """What a search may cost and lose; ``budget_s`` counts from its start."""

    max_drop: float = 0.05
    budget_s: float = 600.0


@dataclass(frozen=True, eq=False)
class Found:
    """What a search came to: the pick (None: float32 stays), all candidates, the front.

    ``disproved``: the pick that its proof spoke against, and the loss that it found.
    """

    picked: Candidate | None
    candidates: tuple[Candidate, ...]
    sensitivity: Mapping[str, Mapping[str, float]]
    limits: Limits
    target: Target
    frames: int
    providers: tuple[str, ...]
    reused: int
    out_of_time: bool
    disproved: tuple[Candidate, float] | None = None

    @property
    def front(self) -> tuple[Candidate, ...]:
        """The candidates that no other beats in both time and exactness, and float32."""
        return front(self.candidates)

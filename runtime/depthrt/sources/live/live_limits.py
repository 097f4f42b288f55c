"""What is taken of live sources."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from depthrt.errors import UsageError
from depthrt.sources.base import RECONNECT_S


@dataclass(frozen=True)
class LiveLimits:
    """What is taken of live sources; recordings are not touched by it.

    - ``max_latency_s``: frames older than this are dropped rather than processed or handed over;
    - ``max_rate``: at most so many frames a second of each source are taken;
    - ``reconnect_s``: how long a source that goes away is tried again; 0 takes that as its end.
    """

    max_latency_s: float | None = None
    max_rate: float | None = None
    reconnect_s: float = RECONNECT_S

    def __post_init__(self) -> None:
        if self.max_latency_s is not None and not self.max_latency_s > 0:
            raise UsageError(f"--max-latency {1e3 * self.max_latency_s:g} is not above 0 ms")
        if self.max_rate is not None and not (self.max_rate > 0 and math.isfinite(self.max_rate)):
            raise UsageError(f"--fps {self.max_rate:g} is not above 0")
        if not self.reconnect_s >= 0:
            raise UsageError(f"--reconnect {self.reconnect_s:g} is no time in seconds from 0 on")


class Thinning:
    """At most so many frames a second, evenly spaced by their times."""

    def __init__(self, rate: float | None) -> None:
        self._step_s = None if rate is None else 1 / Fraction(str(rate))
        self._next_s: Fraction | None = None

    def wants(self, time_s: Fraction) -> bool:
        """Whether to take the frame of this time; times grow."""
        if self._step_s is None:
            return True
        if self._next_s is None:
            self._next_s = time_s
        if time_s < self._next_s:
            return False
        # On the grid where frames keep up with it; from this frame on where they do not.
        self._next_s = max(self._next_s + self._step_s, time_s + self._step_s / 2)
        return True

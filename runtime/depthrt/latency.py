"""How long things took, in a fixed amount of memory however many there were."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

_SMALLEST_S = 1e-5
_BINS_A_DECADE = 232  # each bin is 1% wide
_BINS = 8 * _BINS_A_DECADE  # up to 1000 s


@dataclass
class Latency:
    """Times in seconds, counted in bins that are 1% wide; worst and sum are kept exactly."""

    count: int = 0
    worst_s: float = 0.0
    total_s: float = 0.0
    _bins: dict[int, int] = field(default_factory=dict, repr=False)

    def add(self, seconds: float) -> None:
        """Count one time."""
        self.count += 1
        self.total_s += seconds
        self.worst_s = max(self.worst_s, seconds)
        place = math.log10(max(seconds, _SMALLEST_S) / _SMALLEST_S) * _BINS_A_DECADE
        number = min(_BINS, int(place))
        self._bins[number] = self._bins.get(number, 0) + 1

    def merge(self, other: Latency) -> None:
        """Count the times of another, too."""
        self.count += other.count
        self.total_s += other.total_s
        self.worst_s = max(self.worst_s, other.worst_s)
        for number, count in other._bins.items():
            self._bins[number] = self._bins.get(number, 0) + count

    def quantile_s(self, share: float) -> float:
        """The time that this share of all stayed under, to within 1%; 0 when there are none."""
        rank = math.ceil(share * self.count)
        seen = 0
        for number in sorted(self._bins):
            seen += self._bins[number]
            if seen >= rank:
                middle = 10 ** ((number + 0.5) / _BINS_A_DECADE) * _SMALLEST_S
                return min(middle, self.worst_s)
        return 0.0

    def counts_up_to(self, bounds_s: Sequence[float]) -> list[int]:
        """How many times were at most each of these bounds, to within 1%; bounds ascend."""
        bins = sorted(self._bins.copy().items())  # another thread may add meanwhile
        found, seen, place = [], 0, 0
        for bound_s in bounds_s:
            while place < len(bins) and _start_s(bins[place][0]) < bound_s:
                seen += bins[place][1]
                place += 1
            found.append(seen)
        return found

    def as_ms(self) -> dict[str, float] | None:
        """p50, p95, p99 and worst in milliseconds; None when there are none."""
        if not self.count:
            return None
        shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
        quantiles = {name: 1e3 * self.quantile_s(share) for name, share in shares.items()}
        return {**quantiles, "worst": 1e3 * self.worst_s}


def _start_s(number: int) -> float:
    return 10 ** (number / _BINS_A_DECADE) * _SMALLEST_S

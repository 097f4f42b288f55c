"""Is a new model worse than the old one? Pure functions of what the fronts have seen."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from depthrt_serving.cluster.options import Gates

_KEPT = 2000  # newest latencies and differences that are looked at
_ENOUGH = 20  # of each, before they are judged
_CHANCE = 1e-3  # that a model which is not slower is taken for one that is
_FLOOR_S = 0.010  # a p99 that is later by less than this is noise
_FLAT = 1e-3  # a map whose spread is below this share of its values is flat

Map = NDArray[np.float32]


@dataclass(frozen=True)
class Seen:
    """What a front saw of a model.

    - ``seconds``: of a batch, from the front to its answer; None: it failed;
    - ``difference``: of its depth to the old model's; None: that was not looked at.
    """

    sha256: str
    seconds: float | None = None
    difference: float | None = None
    failed: bool = False


@dataclass(eq=False)
class Record:
    """What all fronts saw of a model since it got its present share."""

    batches: int = 0
    failures: int = 0
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    differences: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def add(self, seen: Seen) -> None:
        """Note a batch or a comparison."""
        if seen.difference is not None:
            self.differences.append(seen.difference)
        if seen.failed:
            self.failures += 1
            self.batches += 1
        elif seen.seconds is not None:
            self.seconds.append(seen.seconds)
            self.batches += 1

    @property
    def failed_share(self) -> float:
        """Batches that failed, of all."""
        return self.failures / self.batches if self.batches else 0.0

    @property
    def p99_s(self) -> float:
        """The 99th percentile of a batch's time."""
        return _percentile(self.seconds, 99)


def reason_to_return(new: Record, old: Record, gates: Gates) -> str:
    """Why the new model is to be taken back; empty: there is no reason yet."""
    if len(new.differences) >= _ENOUGH:
        typical = _percentile(new.differences, 50)
        if not typical <= gates.difference:
            return (
                f"its depth is {typical:.3f} of the spread away from the old model's, allowed "
                f"{gates.difference:g}"
            )
    if new.failures >= 3 and new.failed_share > old.failed_share + gates.failures:
        return f"{new.failures} of its {new.batches} batches failed"
    allowed_s = max(gates.slower * old.p99_s, old.p99_s + _FLOOR_S)
    late = sum(seconds > allowed_s for seconds in new.seconds)
    enough = min(len(new.seconds), len(old.seconds)) >= _ENOUGH
    if enough and chance_of_late(late, len(new.seconds)) < _CHANCE:
        return (
            f"its p99 of a batch is {1e3 * new.p99_s:.0f} ms, more than {gates.slower:g} times the "
            f"old model's {1e3 * old.p99_s:.0f} ms"
        )
    return ""


def chance_of_late(late: int, batches: int) -> float:
    """How likely so many of the batches are later than a time that is their true p99.

    The upper tail of a binomial distribution: of each batch the chance is 1%.
    """
    before = (
        math.comb(batches, count) * 0.01**count * 0.99 ** (batches - count) for count in range(late)
    )
    return max(0.0, 1 - math.fsum(before))


def has_seen_enough(new: Record, gates: Gates) -> bool:
    """Whether a step may end: batches, and comparisons of depth."""
    return new.batches >= gates.batches and len(new.differences) >= min(_ENOUGH, gates.batches)


def depth_difference(old: Map, new: Map, *, metric: bool) -> float:
    """Mean |difference| of two maps of one picture (h,w), over the spread of the old one.

    Relative depth has no scale of its own: the new map is first brought to the old one's by the
    scale and shift that fit best (least squares). Infinite where they cannot be compared.
    """
    if old.shape != new.shape:
        return float("inf")
    a, b = old.astype(np.float64).ravel(), new.astype(np.float64).ravel()
    known = np.isfinite(a) & np.isfinite(b)
    if not known.any():
        return float("inf")
    a, b = a[known], b[known]
    if not metric and np.ptp(b) > 0:
        scale, shift = np.polyfit(b, a, 1)
        if scale <= 0:
            return float("inf")  # near and far are swapped
        b = scale * b + shift
    low, high = np.percentile(a, (2, 98))
    spread = max(float(high - low), _FLAT * float(np.abs(a).max()), 1e-12)
    return float(np.abs(a - b).mean()) / spread


def _percentile(values: Iterable[float], share: float) -> float:
    """Of the values the one that so many per cent are at or below; infinity is one like others."""
    ordered = sorted(values)
    return ordered[math.ceil(share / 100 * (len(ordered) - 1))] if ordered else 0.0

"""How fast one graph is beside another: the ratio of every pair of runs, so that load cancels."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from depthrt.providers import SessionOptions
from depthrt.session import open_session

_WARM_UP = 2
_FEWEST = 9
_ENOUGH = 100
_LOSER = 1.15
_EXTENSION = 3.0  # times the time given, while it is open which of both is faster


@dataclass(frozen=True)
class Paired:
    """Time of one frame over the reference's: median of the ratios of pairs, and its interval.

    ``low`` to ``high`` holds the true median with 95% confidence, whatever the distribution.
    """

    ratio: float
    low: float
    high: float
    latency_ms: float
    reference_ms: float
    rounds: int

    @property
    def faster(self) -> bool:
        """Whether it is clearly faster."""
        return self.high < 1

    @property
    def slower(self) -> bool:
        """Whether it is clearly slower."""
        return self.low > 1


Timer: TypeAlias = Callable[[Path, Path, NDArray[np.uint8], str], Paired]
"""Times a file on a provider beside a reference on the CPU, on one prepared frame (3,h,w)."""


def timer(seconds: float) -> Timer:
    """A timer that takes this long for each file: less where it clearly loses, up to three times
    as long while it is open which of both is faster."""

    def measure(path: Path, reference: Path, image: NDArray[np.uint8], provider: str) -> Paired:
        return paired(path, reference, image, seconds, provider)

    return measure


def paired(
    path: Path, reference: Path, image: NDArray[np.uint8], seconds: float, provider: str = "cpu"
) -> Paired:
    """Run both in turn, the first of each pair alternating; the reference on the CPU provider.

    As for the latency of one frame: threads spin during a run, and none while the other runs.
    """
    sessions = [
        open_session(p, SessionOptions(on, spinning=True))
        for p, on in ((path, provider), (reference, "cpu"))
    ]
    feeds = []
    for session in sessions:
        batch = session.get_inputs()[0].shape[0]
        count = batch if isinstance(batch, int) else 1
        feeds.append({"image": np.repeat(image[None], count, axis=0)})
    times_s: list[tuple[float, float]] = []
    start_s = time.perf_counter()
    while not _enough(times_s, (time.perf_counter() - start_s) / seconds):
        pair = [0.0, 0.0]
        for i in (0, 1) if len(times_s) % 2 else (1, 0):
            begin_s = time.perf_counter()
            sessions[i].run(["depth"], feeds[i])
            pair[i] = time.perf_counter() - begin_s
        times_s.append((pair[0], pair[1]))
    return summarise(times_s[_WARM_UP:])


def summarise(times_s: list[tuple[float, float]]) -> Paired:
    """The median of pairs of seconds, and the interval between two of its order statistics.

    Ranks n/2 -+ 1.96 sqrt(n)/2, the normal approximation of the binomial (Conover, "Practical
    Nonparametric Statistics", 3rd ed., 3.2).
    """
    values = np.asarray(times_s, np.float64)
    ratios = np.sort(values[:, 0] / values[:, 1])
    half = 0.98 * math.sqrt(len(ratios))
    first = max(0, math.floor(len(ratios) / 2 - half))
    low, high = ratios[first], ratios[len(ratios) - 1 - first]
    latency, reference = np.median(values, axis=0) * 1e3
    figures = [float(f"{v:.4g}") for v in (float(np.median(ratios)), low, high, latency, reference)]
    return Paired(figures[0], figures[1], figures[2], figures[3], figures[4], len(times_s))


def _enough(times_s: list[tuple[float, float]], share: float) -> bool:
    """``share``: of the time given."""
    rounds = len(times_s) - _WARM_UP
    if rounds < _FEWEST:
        return False
    if share >= _EXTENSION:
        return True
    now = summarise(times_s[_WARM_UP:])
    if now.low > _LOSER:
        return True
    return (share >= 1 or rounds >= _ENOUGH) and (now.faster or now.slower)

"""How fast one graph is beside another: the ratio of every pair of runs, so that load cancels."""

from __future__ import annotations

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
_FEWEST = 7
_ENOUGH = 100
_LOSER = 1.15


@dataclass(frozen=True)
class Paired:
    """Time of one frame over the reference's: median and quartiles of the ratios of pairs."""

    ratio: float
    low: float
    high: float
    latency_ms: float
    reference_ms: float
    rounds: int

    @property
    def faster(self) -> bool:
        """Whether it is clearly faster: three of four pairs say so."""
        return self.high < 1


Timer: TypeAlias = Callable[[Path, Path, NDArray[np.uint8]], Paired]
"""Times a file beside a reference on one prepared frame (uint8 3,h,w)."""


def timer(seconds: float) -> Timer:
    """A timer that takes this long for each file, less where it clearly loses."""
    return lambda path, reference, image: paired(path, reference, image, seconds)


def paired(path: Path, reference: Path, image: NDArray[np.uint8], seconds: float) -> Paired:
    """Run both in turn, the first of each pair alternating, on the CPU provider.

    Without spinning: threads of the one session would still be spinning while the other runs.
    """
    sessions = [open_session(p, SessionOptions("cpu")) for p in (path, reference)]
    feeds = []
    for session in sessions:
        batch = session.get_inputs()[0].shape[0]
        count = batch if isinstance(batch, int) else 1
        feeds.append({"image": np.repeat(image[None], count, axis=0)})
    times_s: list[tuple[float, float]] = []
    end_s = time.perf_counter() + seconds
    while not _enough(times_s, time.perf_counter() >= end_s):
        pair = [0.0, 0.0]
        for i in (0, 1) if len(times_s) % 2 else (1, 0):
            start_s = time.perf_counter()
            sessions[i].run(["depth"], feeds[i])
            pair[i] = time.perf_counter() - start_s
        times_s.append((pair[0], pair[1]))
    return summarise(times_s[_WARM_UP:])


def summarise(times_s: list[tuple[float, float]]) -> Paired:
    """Median and quartiles of pairs of seconds."""
    values = np.asarray(times_s, np.float64)
    low, ratio, high = np.percentile(values[:, 0] / values[:, 1], (25, 50, 75))
    latency, reference = np.median(values, axis=0) * 1e3
    figures = [float(f"{v:.4g}") for v in (ratio, low, high, latency, reference)]
    return Paired(figures[0], figures[1], figures[2], figures[3], figures[4], len(times_s))


def _enough(times_s: list[tuple[float, float]], late: bool) -> bool:
    rounds = len(times_s) - _WARM_UP
    if rounds < _FEWEST:
        return False
    return late or rounds >= _ENOUGH or summarise(times_s[_WARM_UP:]).low > _LOSER

"""How fast one graph is beside another, on this machine, now."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depthrt.providers import SessionOptions
from depthrt.session import open_session

_WARM_UP = 3


@dataclass(frozen=True)
class LatencyRatio:
    """Median latencies of one frame in milliseconds, taken in turn."""

    latency_ms: float
    reference_ms: float
    runs: int

    @property
    def ratio(self) -> float:
        """This over the reference; below 1 is faster."""
        return self.latency_ms / self.reference_ms


def latency_ratio(
    path: Path, reference: Path, image: NDArray[np.uint8], seconds: float = 3.0
) -> LatencyRatio:
    """Run both files on one prepared frame (uint8 3,h,w) in turn, so that load hits both alike.

    As for the latency of one frame: threads spin during a run, and none while the other runs.
    """
    sessions = [open_session(p, SessionOptions("cpu", spinning=True)) for p in (path, reference)]
    times_ms: tuple[list[float], list[float]] = ([], [])
    end_s = time.perf_counter() + seconds
    while len(times_ms[0]) < _WARM_UP + 5 or time.perf_counter() < end_s:
        for session, taken in zip(sessions, times_ms, strict=True):
            batch = session.get_inputs()[0].shape[0]
            feed = np.repeat(image[None], batch if isinstance(batch, int) else 1, axis=0)
            start_s = time.perf_counter()
            session.run(["depth"], {"image": feed})
            taken.append((time.perf_counter() - start_s) * 1e3)
    medians = [statistics.median(taken[_WARM_UP:]) for taken in times_ms]
    return LatencyRatio(medians[0], medians[1], len(times_ms[0]) - _WARM_UP)

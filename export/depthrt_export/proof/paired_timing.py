"""How fast one graph is beside another: the ratio of every pair of runs, so that load cancels."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from depthrt.intervals import median_interval
from depthrt.model.providers import SessionOptions
from depthrt.model.session import open_session

_WARM_UP = 2
_FEWEST = 9  # pairs, below which no interval is to be trusted
_ENOUGH = 100
_LOSER = 1.15
_ALPHA = 0.05  # how often the interval may miss the true ratio, all looks together
_LOOKS = (0.3, 1.0, 2.0, 3.0)  # times the time given: the first for what clearly loses


@dataclass(frozen=True)
class Paired:
    """Time of one frame over the reference's: median of the ratios of pairs, and its interval.

    ``low`` to ``high`` holds the true median with 95% confidence, whatever the distribution, and
    however early measuring was over.
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
        open_session(p, replace(SessionOptions.named(on), spinning=True))
        for p, on in ((path, provider), (reference, "cpu"))
    ]
    feeds = []
    for session in sessions:
        batch = session.get_inputs()[0].shape[0]
        count = batch if isinstance(batch, int) else 1
        feeds.append({"image": np.repeat(image[None], count, axis=0)})

    def run_pair(number: int) -> tuple[float, float]:
        pair = [0.0, 0.0]
        for i in (0, 1) if number % 2 else (1, 0):
            begin_s = time.perf_counter()
            sessions[i].run(["depth"], feeds[i])
            pair[i] = time.perf_counter() - begin_s
        return pair[0], pair[1]

    return compare(run_pair, seconds)


def compare(
    run_pair: Callable[[int], tuple[float, float]],
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> Paired:
    """Run pair after pair (``run_pair`` gets its number and gives the seconds of both) until sure.

    Looking after every pair and stopping at the first clear interval would call one of two equals
    faster in every tenth comparison. So the looks are at four times set beforehand, and each has a
    quarter of the error (Bonferroni): stopping at any of them is as honest as waiting for the end.
    A late look counts once, and nine pairs are run even where that takes longer.
    """
    times_s: list[tuple[float, float]] = []
    start_s = clock()
    due = list(_LOOKS)
    while True:
        times_s.append(run_pair(len(times_s)))
        share = (clock() - start_s) / seconds
        if share < due[0] or len(times_s) < _WARM_UP + _FEWEST:
            continue
        due = [at for at in due if at > share]
        now = summarise(times_s[_WARM_UP:], _ALPHA / len(_LOOKS))
        if not due or _sure(now, share):
            return now


def summarise(times_s: list[tuple[float, float]], alpha: float = _ALPHA) -> Paired:
    """The median ratio of pairs of seconds, and its interval, which misses it at ``alpha`` at most.

    Of too few pairs for that the interval is from the least ratio to the greatest.
    """
    values = np.asarray(times_s, np.float64)
    found = median_interval((values[:, 0] / values[:, 1]).tolist(), alpha)
    latency, reference = np.median(values, axis=0) * 1e3
    shown = (found.ratio, found.low, found.high, latency, reference)
    figures = [float(f"{value:.4g}") for value in shown]
    return Paired(figures[0], figures[1], figures[2], figures[3], figures[4], len(times_s))


def _sure(now: Paired, share: float) -> bool:
    """Whether to stop at a look; ``share``: of the time given, which the ratio's digits are for."""
    if now.low > _LOSER:
        return True
    return (share >= 1 or now.rounds >= _ENOUGH) and (now.faster or now.slower)

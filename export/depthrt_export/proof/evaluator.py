"""A file beside the float32 file: how exact on unseen frames, how fast.

Speed is the ratio of every pair of runs, so that load on the machine cancels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from depthrt.confidence_interval import Interval, median_interval
from depthrt.model.providers import SessionOptions
from depthrt.model.session import open_session
from depthrt.spec import Kind, Unit
from depthrt_calibration.frames import Sample
from depthrt_export.proof.fidelity import spread
from depthrt_export.proof.labelled_frames import Labelled, absolute_relative_error
from depthrt_export.proof.verify import run_file

if TYPE_CHECKING:
    import onnxruntime as ort

Map = NDArray[np.float32]

_TIMING_S = 3.0
_WARM_UP = 2
_FEWEST = 9  # pairs, below which no interval is to be trusted
_ENOUGH = 100
_BLOCK = 10  # pairs whose median is one value for the interval: load on the machine lasts
_LOSER = 1.15
_ALPHA = 0.05  # how often the interval may miss the true ratio, all looks together
_LOOKS = (0.3, 1.0, 2.0, 3.0)  # times the time given: the first for what clearly loses


@dataclass(frozen=True)
class LatencyRatio:
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

    def text(self) -> str:
        """Ratio and interval, and ``cannot tell`` where that holds 1: ``0.91 [0.85, 0.97]``."""
        shown = Interval(self.ratio, self.low, self.high).line()
        return shown if self.faster or self.slower else f"{shown}: cannot tell which is faster"


Timer: TypeAlias = Callable[[Path, Path, NDArray[np.uint8], str], LatencyRatio]
"""Times a file on a provider beside a reference on the CPU, on one prepared frame (3,h,w)."""


def timer(seconds: float) -> Timer:
    """A timer that takes about this long for each file.

    It takes less for a file that is clearly slower, and up to three times as long while it is not
    clear which of both is faster.
    """

    def run(path: Path, reference: Path, image: NDArray[np.uint8], provider: str) -> LatencyRatio:
        return time_files(path, reference, image, seconds, provider)

    return run


def time_files(
    path: Path, reference: Path, image: NDArray[np.uint8], seconds: float, provider: str = "cpu"
) -> LatencyRatio:
    """Run both files in turn, in pairs whose order alternates; the reference on the CPU provider.

    Threads of the file that runs spin, as in a run for the latency of one frame; the other's sleep.

    Args:
        path: the file.
        reference: the file to compare with.
        image: one prepared frame, 3,h,w.
        seconds: about how long to measure.
        provider: what runs ``path``.
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

    return time_pairs(run_pair, seconds)


def time_pairs(
    run_pair: Callable[[int], tuple[float, float]],
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> LatencyRatio:
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


def summarise(times_s: list[tuple[float, float]], alpha: float = _ALPHA) -> LatencyRatio:
    """The median ratio of pairs of seconds, and its interval, which misses it at ``alpha`` at most.

    Neighbouring pairs share the load of their moment, so the interval is also that of the medians
    of blocks of ten pairs, where there are enough blocks; the wider one counts. Of too few pairs
    it is from the least ratio to the greatest.
    """
    values = np.asarray(times_s, np.float64)
    ratios = values[:, 0] / values[:, 1]
    found = median_interval(ratios.tolist(), alpha)
    blocks = (
        [float(np.median(block)) for block in np.array_split(ratios, len(ratios) // _BLOCK)]
        if len(ratios) >= _FEWEST * _BLOCK
        else []
    )
    if blocks:
        wider = median_interval(blocks, alpha)
        found = replace(found, low=min(found.low, wider.low), high=max(found.high, wider.high))
    latency, reference = np.median(values, axis=0) * 1e3
    shown = (found.ratio, found.low, found.high, latency, reference)
    figures = [float(f"{value:.4g}") for value in shown]
    return LatencyRatio(figures[0], figures[1], figures[2], figures[3], figures[4], len(times_s))


def _sure(now: LatencyRatio, share: float) -> bool:
    """Whether to stop at a look; ``share``: of the time given, which the ratio's digits are for."""
    if now.low > _LOSER:
        return True
    return (share >= 1 or now.rounds >= _ENOUGH) and (now.faster or now.slower)


@dataclass(frozen=True, eq=False)
class Evaluator:
    """Evaluates candidates against the float32 file.

    - ``validation``: frames that calibration never saw; ``references``: their float32 depth;
    - ``time_files``: measures latency;
    - ``labelled``: frames with ground truth, none if not given; ``float_abs_rel``: float32's AbsRel
      on them; ``unit``: of depth; depth in metres is not aligned before it is compared.
    """

    float_path: Path
    kind: Kind
    validation: tuple[Sample, ...]
    references: tuple[Map, ...]
    time_files: Timer
    labelled: tuple[Labelled, ...] = ()
    float_abs_rel: float = 0.0
    unit: Unit | None = None

    @classmethod
    def of(
        cls,
        float_path: Path,
        kind: Kind,
        validation: Sequence[Sample],
        labelled: Sequence[Labelled] = (),
        unit: Unit | None = None,
        time_files: Timer | None = None,
    ) -> Evaluator:
        """Run the float32 file once over all frames; ``time_files`` None: a few seconds a file."""
        session = open_session(float_path, SessionOptions("cpu"))
        references = tuple(_run(session, s.pixels) for s in validation)
        evaluator = cls(
            float_path,
            kind,
            tuple(validation),
            references,
            time_files or timer(_TIMING_S),
            tuple(labelled),
            unit=unit,
        )
        if not labelled:
            return evaluator
        return replace(evaluator, float_abs_rel=evaluator._abs_rel(session))

    def errors(self, path: Path, count: int | None = None, provider: str = "cpu") -> list[float]:
        """Mean |difference| over the spread, of each of the first ``count`` frames.

        Raises:
            DepthrtError: the file does not run here.
        """
        session = open_session(path, SessionOptions.named(provider))
        return [
            _error(reference, _run(session, sample.pixels))
            for sample, reference in zip(
                self.validation[:count], self.references[:count], strict=True
            )
        ]

    def drop(self, path: Path, provider: str = "cpu") -> float | None:
        """Growth of AbsRel over float32's, 0.01 is one percent; None without ground truth."""
        if not self.labelled:
            return None
        session = open_session(path, SessionOptions.named(provider))
        return self._abs_rel(session) / max(self.float_abs_rel, 1e-9) - 1

    def latency(self, path: Path, provider: str = "cpu") -> LatencyRatio:
        """The time of one frame beside float32 on the CPU provider."""
        return self.time_files(path, self.float_path, self.validation[0].pixels, provider)

    def _abs_rel(self, session: ort.InferenceSession) -> float:
        errors = [
            absolute_relative_error(_run(session, frame.sample.pixels), frame, self.kind, self.unit)
            for frame in self.labelled
        ]
        return float(np.mean(errors))


def _error(reference: Map, depth: Map) -> float:
    if not np.isfinite(depth).all():
        return 1e3  # NaN or infinity: as far off as can be, and still JSON
    difference = np.abs(depth.astype(np.float64) - reference.astype(np.float64))
    return min(float(difference.mean()) / spread(reference), 1e3)


def _run(session: ort.InferenceSession, pixels: NDArray[np.uint8]) -> Map:
    batch = session.get_inputs()[0].shape[0]
    images = np.repeat(pixels[None], batch if isinstance(batch, int) else 1, axis=0)
    return np.asarray(run_file(session, images)[0], np.float32)

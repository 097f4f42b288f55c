"""Which provider, threads, precision, parallel inferences and batch run a model best here.

For files ``depthrt run`` itself is measured: the built-in clip is decoded, prepared, run, coloured
and encoded. A session alone ranks the candidates in another order: spinning threads win there, and
take the cores of the decoder and the encoder here. For cameras and Python, which give one frame at
a time, inferences are measured alone (:mod:`depthrt.jobs.tune.block`).

A candidate whose depth of real frames differs from the CPU provider's by more than ``max_error`` is
refused before it is timed. The others run in turn (:mod:`depthrt.jobs.tune.race`); the fastest then
run beside their batches of 2, 4 and 8 frames, where the graph's batch is open.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depthrt.confidence_interval import Interval
from depthrt.errors import DepthrtError, InferenceError, UsageError
from depthrt.jobs.process_priority import prefer_throughput
from depthrt.jobs.tune.block import Block, measure_block
from depthrt.jobs.tune.candidates import configurations
from depthrt.jobs.tune.keyframe_gain import KeyframeGain, keyframe_gain
from depthrt.jobs.tune.race import Race, Trial, Verdict
from depthrt.model.catalogue.registry import DEMO_CLIP
from depthrt.model.depth_model import DepthModel
from depthrt.model.preprocess import prepare
from depthrt.model.session import open_session
from depthrt.model.tuning_cache import OBJECTIVES, Objective, Tuning
from depthrt.sources.base import Selection
from depthrt.sources.open import open_source
from depthrt.system.process_settings import in_own_process
from depthrt.temporal.keyframes import Keyframes

MAX_ERROR = 0.05
BATCHES = (2, 4, 8)
_CHECKED_FRAMES = 3


@dataclass(frozen=True)
class Outcome:
    """What was found, and all that was tried.

    - ``tuning``: what is kept;
    - ``untuned``: how the model runs without it, as measured;
    - ``trials``: all candidates, the untuned ones first;
    - ``verdicts``: of each of them, by objective, beside the candidate that was taken;
    - ``gains``: of each objective, the time of what is kept over the untuned one's, paired; None
      where that is the same, or both were measured together too rarely;
    - ``sure``: whether nothing that was tried can be more than 3% faster than what is kept;
    - ``seconds``: how long it took;
    - ``keyframes``: what they gain for files, with what is kept; None if that was not asked for;
    - ``load``: threads of all programs that wanted a core in the minute before (load average);
      None where the system does not say.
    """

    tuning: Tuning
    untuned: Tuning
    trials: tuple[Trial, ...]
    verdicts: tuple[dict[Objective, Verdict], ...]
    gains: dict[Objective, Interval | None]
    sure: bool
    seconds: float
    load: float | None
    keyframes: KeyframeGain | None = None


def tune(
    path: Path,
    *,
    seconds: float = 20.0,
    objective: Objective | None = None,
    max_error: float = MAX_ERROR,
    keyframes: Keyframes | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """Measure a model file and say how to run it.

    Args:
        path: a depthrt model file.
        seconds: longest time for measuring; it ends earlier when the best is sure, and every
            candidate gets one block even where that takes longer.
        objective: find the best for this one and use it throughout; None: one choice for each.
        max_error: largest difference allowed to the CPU provider's depth, see :func:`difference`.
        keyframes: measure files with and without them as well, after the rest.
        progress: called with a few words on what is being done.

    Raises:
        ModelError: no usable model.
        InferenceError: the CPU provider cannot run it, or no candidate can.
        UsageError: a time or error that is not above 0.
    """
    if not seconds > 0 or not max_error > 0:
        raise UsageError(f"--seconds {seconds:g} and --max-error {max_error:g} must be above 0")
    begin_s, load = time.perf_counter(), _load()
    in_own_process(prefer_throughput)  # as `depthrt run` does before it opens a session
    reference = DepthModel.load(path, provider="cpu")
    models = _Candidates(reference, max_error)
    for options in configurations():
        progress(f"checking {options.line()}")
        models.add(Trial(options, reference.fixed_batch or 1))
    objectives = OBJECTIVES if objective is None else (objective,)
    with tempfile.TemporaryDirectory(prefix="depthrt-") as folder:
        video = Path(folder) / "tuning.mp4"

        def measure(trial: Trial) -> Block:
            progress(f"measuring {trial.line()}")
            return measure_block(models.of(trial), trial.batch, video)

        if all(trial.note for trial in models.trials):
            raise InferenceError(f"no candidate runs {path}: {models.trials[0].note}")
        race = Race(models.trials, objectives, measure)
        race.run(begin_s + seconds, models.larger)
        best = {each: race.best(objective or each) for each in OBJECTIVES}
        gain = None
        if keyframes is not None:
            progress("measuring keyframes")
            files = best["throughput"]
            gain = keyframe_gain(models.of(files), files.batch, keyframes, video)
    verdicts = [
        {each: race.verdict(trial, best[each], each) for each in objectives}
        for trial in race.trials
    ]
    return Outcome(
        Tuning(*(best[each].choice() for each in OBJECTIVES)),
        Tuning(*(race.untuned(each).choice() for each in OBJECTIVES)),
        tuple(race.trials),
        tuple(verdicts),
        {each: race.verdict(best[each], race.untuned(each), each).beside for each in OBJECTIVES},
        race.sure,
        time.perf_counter() - begin_s,
        load,
        gain,
    )


def difference(expected: NDArray[np.float32], depth: NDArray[np.float32]) -> float:
    """Mean |difference| over the 2-98 percentile spread of the expected depth; both N,h,w."""
    low, high = np.percentile(expected, (2, 98))
    scale = max(float(high - low), 1e-3 * float(np.abs(expected).max()), 1e-12)
    return float(np.abs(depth.astype(np.float64) - expected).mean()) / scale


class _Candidates:
    """Trials and their models, each checked against the CPU provider's depth of real frames."""

    def __init__(self, reference: DepthModel, max_error: float) -> None:
        self.trials: list[Trial] = []
        self._reference = reference
        self._max_error = max_error
        self._frames = _real_frames(reference)
        self._expected = reference.infer(self._frames)
        self._models: dict[int, DepthModel] = {}

    def add(self, trial: Trial) -> None:
        """Open a trial's session and check its depth; what fails gets a note that says why."""
        self.trials.append(trial)
        reference = self._reference
        try:
            session = open_session(reference.path, trial.options)
            model = DepthModel(session, reference.spec, reference.path, options=trial.options)
            trial.error = difference(self._expected, model.infer(self._frames))
        except DepthrtError as error:
            trial.note = str(error)
            return
        if trial.error > self._max_error:
            trial.note = f"depth differs by {trial.error:.1%} from the CPU provider's"
            return
        self._models[id(trial)] = model

    def of(self, trial: Trial) -> DepthModel:
        """The model of a trial that was not refused."""
        return self._models[id(trial)]

    def larger(self, trial: Trial) -> Sequence[Trial]:
        """The trial with larger batches, if the graph's batch is open."""
        if self._reference.fixed_batch is not None:
            return ()
        found = [Trial(trial.options, batch, trial.error, larger_batch=True) for batch in BATCHES]
        self._models.update((id(each), self.of(trial)) for each in found)
        return found


def _load() -> float | None:
    """The load average of the last minute, if the system has one."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):  # Windows has none
        return None


def _real_frames(model: DepthModel) -> NDArray[np.uint8]:
    """Prepared frames of the built-in clip, spread over it: uint8 N,3,h,w."""
    every = open_source(DEMO_CLIP, Selection(stride=48, max_frames=_CHECKED_FRAMES))
    with closing(every.frames()) as frames:  # type: ignore[type-var]  # sources give generators
        return np.stack([prepare(frame.pixels, model.spec.input) for frame in frames])

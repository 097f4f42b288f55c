"""Which provider, threads, spinning, precision and batch run a model best on this machine.

What is measured is ``depthrt run`` itself: the built-in clip is decoded, prepared, run, coloured
and encoded, each stage in its thread. A bare session ranks the candidates otherwise: spinning
threads win there and starve decoder and encoder here, and a thread more is paid for by them.

- *Candidates*: every provider that onnxruntime offers (TensorRT apart: it builds engines for
  minutes); on a CPU all usable cores and halves of that down to 1, spinning or not; for OpenVINO
  its float32 and the 16-bit type of the machine as the precision of what a graph leaves in float
  (there is no int8 hint: int8 is in the graph); then batches of 2, 4 and 8 of the best, where the
  graph's batch is open.
- *Fidelity first*: a candidate whose depth of real frames differs from the CPU provider's by more
  than ``max_error`` (mean |difference| over the 2-98 percentile spread) is refused before it is
  timed.
- *In turn*: candidates run short blocks round-robin, so that other load hits all alike; blocks, not
  single frames, since the idle threads of the one provider spin into the first frames of the next.
  Medians over blocks count. Clear losers leave after each round; the first half of the time only
  screens, and those who are left start anew beside their larger batches.
- *Ties*: what is less than 3% better than a candidate nearer to the default does not count.
"""

from __future__ import annotations

import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import DepthrtError, UsageError
from depthrt.model.depth_model import DepthModel
from depthrt.model.preprocess import prepare
from depthrt.model.providers import AUTO_ORDER, SessionOptions
from depthrt.model.registry import DEMO_CLIP
from depthrt.model.session import open_session, usable_cores
from depthrt.model.tuning_cache import OBJECTIVES, Choice, Objective, Tuning, offered_providers
from depthrt.pipeline.stream import stream
from depthrt.result import Stats
from depthrt.sinks.open import open_sink
from depthrt.sources.base import Selection
from depthrt.sources.open import open_source

MAX_ERROR = 0.05
BATCHES = (2, 4, 8)
_TIE = 0.03  # of the time; differences below mean nothing
_LOSER = 1.25  # times the best, on both objectives, after a round
_FIRST_LOSER = 1.5  # likewise after one block, which a moment of other load may have hit
_BLOCK_S = 0.15
_SCREENING = 0.5  # share of the time for single frames before batches come in
_MOST_ROUNDS = 30
_CHECKED_FRAMES = 3


@dataclass
class Trial:
    """A candidate while it is measured; times in milliseconds, one per block.

    ``error``: difference to the CPU provider's depth; ``note``: why it was refused, if it was;
    ``finalist``: whether its times come from the second half and so compare with the choice's.
    """

    options: SessionOptions
    batch: int = 1
    error: float = 0.0
    note: str = ""
    finalist: bool = False
    infer_ms: list[float] = field(default_factory=list)
    frame_ms: list[float] = field(default_factory=list)

    def choice(self) -> Choice:
        """The candidate with the medians of its blocks."""
        infer_ms, frame_ms = statistics.median(self.infer_ms), statistics.median(self.frame_ms)
        return Choice(self.options, self.batch, infer_ms, frame_ms)

    def score(self, objective: Objective) -> float:
        """What the objective minimises, in milliseconds."""
        choice = self.choice()
        return choice.infer_ms if objective == "latency" else choice.frame_ms


@dataclass(frozen=True)
class Outcome:
    """What was found, and all that was tried, the default first."""

    tuning: Tuning
    trials: tuple[Trial, ...]
    seconds: float

    @property
    def default(self) -> Choice:
        """How the model runs when nothing is tuned: the first that works and is faithful."""
        return next(trial for trial in self.trials if trial.frame_ms).choice()


def tune(
    path: Path,
    *,
    seconds: float = 20.0,
    objective: Objective | None = None,
    max_error: float = MAX_ERROR,
    progress: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """Measure a model file and say how to run it.

    Args:
        path: a depthrt model file.
        seconds: time for measuring; every candidate gets one block even where that takes longer.
        objective: use the best for this one throughout; None: one choice for each.
        max_error: largest difference allowed to the CPU provider's depth.
        progress: called with a word on what is being done.

    Raises:
        ModelError: no usable model.
        InferenceError: the CPU provider cannot run it.
        UsageError: a time or error that is not above 0.
    """
    if not seconds > 0 or not max_error > 0:
        raise UsageError(f"--seconds {seconds:g} and --max-error {max_error:g} must be above 0")
    begin_s = time.perf_counter()
    reference = DepthModel.load(path, provider="cpu")
    frames = _real_frames(reference)
    expected = reference.infer(frames)
    single = reference.fixed_batch or 1
    trials, models = [Trial(options, single) for options in configurations()], []
    for trial in trials:
        progress(f"checking {trial.options.line()}")
        models.append(_checked(reference, trial, frames, expected, max_error))
    pairs = [(t, m) for t, m in zip(trials, models, strict=True) if m is not None]
    with tempfile.TemporaryDirectory(prefix="depthrt-") as folder:
        place = Path(folder) / "tuning.mp4"
        batched = reference.fixed_batch is None
        share = _SCREENING if batched else 1.0
        pairs = _rounds(pairs, place, begin_s + share * seconds, progress)
        if batched:
            pairs = _finalists(pairs)
            trials += [trial for trial, _ in pairs if trial.batch > 1]
            for trial, _ in pairs:
                trial.finalist = True
            pairs = _rounds(pairs, place, begin_s + seconds, progress)
    finalists = [trial for trial, _ in pairs]
    tuning = Tuning(*(_best(finalists, objective or each) for each in OBJECTIVES))
    return Outcome(tuning, tuple(trials), time.perf_counter() - begin_s)


def configurations() -> list[SessionOptions]:
    """Sessions worth measuring here, the default first, simple ones before others."""
    offered = offered_providers()
    ordered = [name for name in AUTO_ORDER if name in offered]
    ordered += [name for name in offered if name not in (*ordered, "tensorrt")]
    found: list[SessionOptions] = []
    for name in ordered:
        if name == "cpu":
            found += [SessionOptions(name, n) for n in thread_counts()]
            # One thread has nobody to spin for.
            found += [SessionOptions(name, n, spinning=True) for n in thread_counts() if n > 1]
        elif name == "openvino":
            half = "f16" if platform.machine().lower() in ("arm64", "aarch64") else "bf16"
            found += [SessionOptions(name, n, False, p) for p in ("", half) for n in (None, *few())]
        else:
            found.append(SessionOptions(name))
    return found


def thread_counts() -> list[int]:
    """All usable cores and halves of that, down to 1."""
    counts = [usable_cores()]
    while counts[-1] > 1:
        counts.append(counts[-1] // 2)
    return counts


def few() -> list[int]:
    """Fewer threads than all usable cores."""
    return thread_counts()[1:]


def difference(expected: NDArray[np.float32], depth: NDArray[np.float32]) -> float:
    """Mean |difference| over the 2-98 percentile spread of what is expected; both N,h,w."""
    low, high = np.percentile(expected, (2, 98))
    scale = max(float(high - low), 1e-3 * float(np.abs(expected).max()), 1e-12)
    return float(np.abs(depth.astype(np.float64) - expected).mean()) / scale


def _real_frames(model: DepthModel) -> NDArray[np.uint8]:
    """Prepared frames of the built-in clip, spread over it: uint8 N,3,h,w."""
    every = open_source(DEMO_CLIP, Selection(stride=48, max_frames=_CHECKED_FRAMES))
    with closing(every.frames()) as frames:  # type: ignore[type-var]  # sources give generators
        return np.stack([prepare(frame.image, model.spec.input) for frame in frames])


def _checked(
    reference: DepthModel,
    trial: Trial,
    frames: NDArray[np.uint8],
    expected: NDArray[np.float32],
    max_error: float,
) -> DepthModel | None:
    """The candidate's model, or None and a note where it does not work or is not faithful."""
    try:
        session = open_session(reference.path, trial.options)
        model = DepthModel(session, reference.spec, reference.path)
        trial.error = difference(expected, model.infer(frames))
    except DepthrtError as error:
        trial.note = str(error)
        return None
    if trial.error > max_error:
        trial.note = f"depth differs by {trial.error:.1%} from the CPU provider's"
        return None
    return model


_Pair = tuple[Trial, DepthModel]


def _rounds(
    pairs: Sequence[_Pair], place: Path, end_s: float, progress: Callable[[str], None]
) -> list[_Pair]:
    """Measure all in turn until the time is up, at least once; who is left, the default first."""
    alive = list(pairs)
    for number in range(_MOST_ROUNDS):
        for trial, model in alive:
            if number and trial.frame_ms and time.perf_counter() > end_s:
                return alive
            progress(f"measuring {trial.options.line()}, batch {trial.batch}")
            infer_ms, frame_ms = measure(model, trial.batch, place)
            trial.infer_ms.append(infer_ms)
            trial.frame_ms.append(frame_ms)
        alive = _without_losers(alive, _LOSER if number else _FIRST_LOSER)
    return alive


def _without_losers(alive: list[_Pair], factor: float) -> list[_Pair]:
    """Those within a factor of the best on either objective, and the default."""
    limits: dict[Objective, float] = {
        objective: factor * min(trial.score(objective) for trial, _ in alive)
        for objective in OBJECTIVES
    }
    return [
        (trial, model)
        for place, (trial, model) in enumerate(alive)
        if place == 0 or any(trial.score(o) <= limit for o, limit in limits.items())
    ]


def measure(
    model: DepthModel, batch: int, place: Path, block_s: float = _BLOCK_S
) -> tuple[float, float]:
    """Run the pipeline on the built-in clip for a moment, writing a video to ``place``.

    Returns:
        Milliseconds of one inference inside the pipeline, and of the pipeline per frame.
    """
    model.warm_up(batch)
    source, stats = open_source(DEMO_CLIP), Stats()
    sink = open_sink(place, source.info, model.spec, "depth", "inferno")
    warm, fewest = 2 * batch, 2 * batch
    marks: list[tuple[float, float, int]] = []
    with closing(stream(source, model, batch=batch, stats=stats)) as results:
        for number, result in enumerate(results, 1):
            sink.write(result)
            if number % batch or number < warm:
                continue
            marks.append((time.perf_counter(), stats.busy_s["infer"], stats.frames))
            done = len(marks) > 1 and marks[-1][0] - marks[0][0] >= block_s
            if done and (len(marks) - 1) * batch >= fewest:
                break
    sink.close(complete=False)
    (first_s, first_busy_s, first_inferred), last = marks[0], marks[-1]
    frames, inferred = (len(marks) - 1) * batch, max(1, last[2] - first_inferred)
    infer_ms = 1e3 * (last[1] - first_busy_s) / inferred * batch
    return infer_ms, 1e3 * (last[0] - first_s) / frames


def _finalists(pairs: Sequence[_Pair]) -> list[_Pair]:
    """The default, the best two on each objective, and the best rates at larger batches."""
    ranked = {o: sorted(pairs, key=lambda pair: pair[0].score(o)) for o in OBJECTIVES}
    chosen = {id(trial) for best in ranked.values() for trial, _ in best[:2]}
    kept = [pair for place, pair in enumerate(pairs) if place == 0 or id(pair[0]) in chosen]
    larger = [
        (Trial(trial.options, batch, trial.error), model)
        for trial, model in ranked["throughput"][:2]
        for batch in BATCHES
    ]
    for trial, _ in kept:
        trial.infer_ms, trial.frame_ms = [], []
    return kept + larger


def _best(finalists: Sequence[Trial], objective: Objective) -> Choice:
    """The first, in order of candidates, that is within a tie of the best."""
    lowest = min(trial.batch for trial in finalists)
    fit = [t for t in finalists if objective == "throughput" or t.batch == lowest]
    limit = (1 + _TIE) * min(trial.score(objective) for trial in fit)
    chosen = next(trial for trial in fit if trial.score(objective) <= limit)
    return chosen.choice()

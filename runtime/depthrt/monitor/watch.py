"""Watching one stream: features of a few frames a second, and whether they drift.

frames --a sample each half second--> features --> the last 120 --each 10 s--> scores --> alarm
                                         |
                                         +--> the first minutes: the reference, if there is none
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from depthrt.depth import Depth
from depthrt.monitor.cells import Cells, texture_by_cell
from depthrt.monitor.drift import (
    Rate,
    Score,
    Thresholds,
    score_cells,
    score_window,
    thresholds,
    usual_cells,
)
from depthrt.monitor.features import (
    NAMES,
    SMEAR,
    Look,
    Map,
    Pixels,
    correction,
    depth_features,
    flicker,
    look_at,
    picture_features,
)
from depthrt.monitor.reference import Reference, make_reference

SAMPLE_S = 0.5
RAISE_AFTER, CLEAR_AFTER = 2, 3  # verdicts in a row
CLEAR_BELOW = 0.8  # of the threshold

Origin = Literal["file", "kept", "stream"]
"""Where a reference came from: the model file, an earlier run, or the start of this stream."""


@dataclass(frozen=True)
class WatchOptions:
    """How a stream is watched.

    - ``reference``: None: the first ``learn_s`` seconds of the stream become it;
    - ``learn_s``: long enough to see what is usual there;
    - ``rate``: how often an unchanged stream may raise an alarm;
    - ``sample_s``: seconds between the frames that are looked at;
    - ``source``: what a reference that is learned is called; empty: by its seconds.
    """

    reference: Reference | None = None
    origin: Origin = "stream"
    learn_s: float = 600.0
    rate: Rate = field(default_factory=Rate)
    sample_s: float = SAMPLE_S
    model_sha256: str = ""
    source: str = ""


@dataclass(frozen=True)
class Alarm:
    """Whether drift is raised, with hysteresis: it takes two verdicts to raise, three to clear."""

    raised: bool = False
    _in_a_row: int = 0

    def after(self, score: float) -> Alarm:
        """The alarm after another verdict's score; 1 is the threshold."""
        against = score < CLEAR_BELOW if self.raised else score >= 1
        count = self._in_a_row + 1 if against else 0
        if count >= (CLEAR_AFTER if self.raised else RAISE_AFTER):
            return Alarm(not self.raised)
        return replace(self, _in_a_row=count)


@dataclass(frozen=True)
class Verdict:
    """What is known of a stream.

    - ``samples``: frames looked at so far; ``learning``: there is no reference yet;
    - ``scores``: of each feature; empty until a window is full;
    - ``alarms``: of each feature, whether it drifts; ``drifts``: whether any does.
    """

    samples: int = 0
    learning: bool = True
    scores: Mapping[str, Score] = field(default_factory=dict)
    alarms: Mapping[str, Alarm] = field(default_factory=dict)
    reference: Reference | None = None
    origin: Origin = "stream"

    @property
    def drifts(self) -> bool:
        """Whether any feature does."""
        return any(alarm.raised for alarm in self.alarms.values())

    @property
    def score(self) -> float:
        """The largest score of all features."""
        return max((score.score for score in self.scores.values()), default=0.0)


class Watch:
    """Watches one stream; one thread at a time hands it frames, any may read ``verdict``.

    Args:
        options: how.
        tell: called with what changed, in a few words, when drift begins or ends, or a reference
            has been learned.
        learned: called with a reference that was learned from the stream.
    """

    def __init__(
        self,
        options: WatchOptions,
        tell: Callable[[str], None] = lambda sentence: None,
        learned: Callable[[Reference], None] = lambda reference: None,
    ) -> None:
        self._options, self._tell, self._learned = options, tell, learned
        self._rows: deque[dict[str, float]] = deque(maxlen=options.rate.window)
        self._cells: deque[Cells] = deque(maxlen=options.rate.window)
        self._lesson: list[dict[str, float]] = []
        self._lesson_cells: list[Cells] = []
        self._limits: dict[str, Thresholds] | None = None
        self._due_s: float | None = None
        self._pending: tuple[dict[str, float], Look, Cells] | None = None
        self._since = 0  # samples since the last verdict
        self._resolving = False
        self._lock = threading.Lock()
        self._resolver: threading.Thread | None = None
        self.verdict = Verdict(origin=options.origin)
        if options.reference is not None:
            self._adopt(options.reference)

    def wants(self, time_s: float) -> bool:
        """Whether a frame of this time is to be looked at; else nothing need be kept of it."""
        early = self._due_s is not None and time_s < self._due_s - self._options.sample_s
        return self._pending is not None or self._due_s is None or time_s >= self._due_s or early

    def see(
        self,
        time_s: float,
        prepared: Pixels,
        depth: Depth,
        raw: Map | None = None,
        *,
        scene_cut: bool = False,
    ) -> None:
        """Look at a frame; one that is not due only tells the flicker of the frame before.

        Args:
            time_s: of the frame; the times of a stream ascend, but for when it begins anew.
            prepared: uint8 RGB 3,h,w as the network saw it.
            depth: its depth.
            raw: the network's own depth (h,w) where ``depth`` is stabilised.
            scene_cut: a new scene begins with it.
        """
        look = look_at(prepared, depth.values)
        if self._pending is not None:
            row, before, cells = self._pending
            self._pending = None
            found = None if scene_cut else flicker(before, look)
            self._add(row if found is None else {**row, "flicker": found}, cells)
        if not self.wants(time_s):
            return
        late = self._due_s is None or not 0 <= time_s - self._due_s < self._options.sample_s
        self._due_s = (time_s if late or self._due_s is None else self._due_s) + (
            self._options.sample_s
        )
        row = {**picture_features(prepared), **depth_features(depth)}
        if raw is not None:
            row["correction"] = correction(raw, depth.values)
        self._pending = row, look, texture_by_cell(prepared)

    def add(self, row: Mapping[str, float], cells: Cells | None = None) -> None:
        """Take a sample whose features are known, as of a picture that stands alone.

        ``cells``: of :func:`depthrt.monitor.cells.texture_by_cell`; None: no smear is looked for.
        """
        self._add(dict(row), cells)

    def settle(self) -> None:
        """Wait for the thresholds, if they are being found."""
        if self._resolver is not None:
            self._resolver.join()

    def _add(self, row: dict[str, float], cells: Cells | None) -> None:
        options, rate = self._options, self._options.rate
        self._rows.append(row)
        if cells is not None:
            self._cells.append(cells)
        with self._lock:
            self.verdict = replace(self.verdict, samples=self.verdict.samples + 1)
            reference, limits = self.verdict.reference, self._limits
        if reference is None:
            self._learn(row, cells)
            return
        self._since += 1
        full = len(self._rows) == rate.window
        if limits is None or not full or self._since * options.sample_s < rate.step_s:
            return
        self._since = 0
        self._judge(reference, limits)

    def _learn(self, row: dict[str, float], cells: Cells | None) -> None:
        if self._resolving:
            return
        self._lesson.append(row)
        if cells is not None:
            self._lesson_cells.append(cells)
        if len(self._lesson) * self._options.sample_s >= self._options.learn_s:
            self._resolving = True
            lesson, self._lesson = self._lesson, []
            reference = make_reference(
                lesson,
                source=self._options.source
                or f"the first {self._options.learn_s:g} s of the stream",
                sample_s=self._options.sample_s,
                model=self._options.model_sha256,
            )
            self._adopt(reference, self._learned)

    def _adopt(
        self, reference: Reference, then: Callable[[Reference], None] = lambda reference: None
    ) -> None:
        """Find the thresholds in a thread: a live stream would lose frames meanwhile."""

        lesson, self._lesson_cells = self._lesson_cells, []

        def resolve() -> None:
            rate, adopted = self._options.rate, reference
            limits = thresholds(reference, rate)
            if len(lesson) >= rate.window:
                adopted = replace(reference, cells=usual_cells(np.array(lesson), rate))
            with self._lock:
                self._limits = limits
                self.verdict = replace(self.verdict, learning=False, reference=adopted)
            if self._options.reference is None:
                self._tell(f"drift is judged from now on, against {adopted.source}")
            then(adopted)

        self._resolver = threading.Thread(target=resolve, name="depthrt-thresholds", daemon=True)
        self._resolver.start()

    def _judge(self, reference: Reference, limits: Mapping[str, Thresholds]) -> None:
        rows = list(self._rows)
        window = {name: np.array([row.get(name, np.nan) for row in rows]) for name in NAMES}
        scores = score_window(reference, limits, window)
        if reference.cells is not None and len(self._cells) == self._options.rate.window:
            scores[SMEAR] = score_cells(reference.cells, np.array(self._cells))
        before = self.verdict
        alarms = {
            name: before.alarms.get(name, Alarm()).after(
                scores[name].score if name in scores else 0
            )
            for name in {**before.alarms, **scores}
        }
        with self._lock:
            self.verdict = after = replace(self.verdict, scores=scores, alarms=alarms)
        if after.drifts and not before.drifts:
            self._tell(f"drift: {', '.join(drifting(after))}")
        elif before.drifts and not after.drifts:
            self._tell("no drift any more")


def drifting(verdict: Verdict) -> list[str]:
    """The features that drift, the farthest first."""
    names = [name for name, alarm in verdict.alarms.items() if alarm.raised]
    return sorted(names, key=lambda n: -verdict.scores[n].score if n in verdict.scores else 0.0)

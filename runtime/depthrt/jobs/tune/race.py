"""Candidates measured in turn, in rounds, until it is sure which is the best.

- *In turn*: each round measures one block of every candidate, the next round in the reverse order.
- *Paired*: two candidates are compared by the ratios of their blocks in the same rounds, so that
  other load on the machine hits both alike and cancels out.
- *Sure*: a ratio comes with an interval that holds at all looks together with 95% confidence
  (Bonferroni: each look has its share of the error). Looks are after rounds set beforehand.
- *Ties*: a candidate that is less than 3% faster than one nearer to the untuned one is not taken.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from depthrt.confidence_interval import Interval, paired_interval
from depthrt.jobs.tune.block import Block
from depthrt.model.providers import SessionOptions
from depthrt.model.tuning_cache import Choice, Objective

TIE = 1.03
LOOKS = (3, 5, 8, 13, 21, 34, 55, 89)  # rounds; fewer than three say nothing of their spread
_PHASES = 2  # before and after larger batches join
_ALPHA = 0.05 / (_PHASES * len(LOOKS) + 1)  # the last look is when the time is up
_SCREENING = 0.5  # share of the time after which larger batches join


@dataclass(eq=False)
class Trial:
    """A candidate and what was measured of it.

    - ``batch``: frames per inference;
    - ``error``: difference of its depth to the CPU provider's;
    - ``note``: why it was refused and not measured; empty if it was not;
    - ``larger_batch``: whether a smaller batch of the same session is a candidate, too;
    - ``finalist``: whether it was measured to the end;
    - ``blocks``: its blocks by the number of their round.
    """

    options: SessionOptions
    batch: int = 1
    error: float = 0.0
    note: str = ""
    larger_batch: bool = False
    finalist: bool = False
    blocks: dict[int, Block] = field(default_factory=dict)

    def choice(self) -> Choice:
        """The candidate with the medians of its blocks."""
        infer_ms = statistics.median(block.infer_ms for block in self.blocks.values())
        frame_ms = statistics.median(block.frame_ms for block in self.blocks.values())
        return Choice(self.options, self.batch, infer_ms, frame_ms)

    def line(self) -> str:
        """The candidate in a few words."""
        return self.options.line() + (f", batch {self.batch}" if self.batch > 1 else "")

    def fits(self, objective: Objective) -> bool:
        """Whether it can be chosen: one frame at a time needs no batch and nothing in parallel."""
        one_frame = self.options.parallel == 1 and not self.larger_batch
        return bool(self.blocks) and (objective == "throughput" or one_frame)

    def log_ratios(self, other: Trial, objective: Objective) -> list[float]:
        """Logarithms of its time over another's, of each round in which both were measured."""
        return [
            math.log(block.score(objective) / other.blocks[number].score(objective))
            for number, block in self.blocks.items()
            if number in other.blocks
        ]

    def beside(self, other: Trial, objective: Objective) -> Interval | None:
        """Its time over another's; None if they were measured together too rarely to say."""
        found = self.log_ratios(other, objective)
        return paired_interval(found, _ALPHA) if len(found) >= LOOKS[0] else None


@dataclass(frozen=True)
class Verdict:
    """How a trial compares with the one that was taken.

    - ``beside``: its time over that one's; None if they were measured together too rarely;
    - ``reason``: why it was not taken though it looks faster; empty if it does not.
    """

    beside: Interval | None
    reason: str


class Race:
    """The trials, in order: the untuned ones first, simple ones before others."""

    def __init__(
        self,
        trials: Sequence[Trial],
        objectives: Sequence[Objective],
        measure: Callable[[Trial], Block],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.trials = list(trials)
        self._objectives = objectives
        self._measure = measure
        self._clock = clock
        self._round = 0
        self.sure = False  # whether nothing can be faster than the best by more than a tie

    def run(self, end_s: float, larger: Callable[[Trial], Sequence[Trial]]) -> None:
        """Measure until all is sure or the clock says ``end_s``; each candidate at least once.

        ``larger`` gives candidates with larger batches of a trial. Those of the two with the
        highest rates join when the rest is sure, or after half of the time.
        """
        start_s = self._clock()
        running = [trial for trial in self.trials if not trial.note]
        running = self._run_phase(running, start_s + _SCREENING * (end_s - start_s), end_s)
        fastest = sorted(running, key=lambda trial: self._standing(trial, "throughput"))[:2]
        joining = [each for trial in fastest for each in larger(trial)]
        self.trials += joining
        if joining or not self._is_sure(running):
            running = self._run_phase(running + joining, end_s, end_s)
        for trial in running:
            trial.finalist = True
        self.sure = self._is_sure(running)

    def _run_phase(self, running: list[Trial], until_s: float, end_s: float) -> list[Trial]:
        """Measure round after round; who is left in the end."""
        rounds = 0
        while True:
            for trial in running if self._round % 2 == 0 else reversed(running):
                if trial.blocks and self._clock() > end_s:
                    continue
                trial.blocks[self._round] = self._measure(trial)
            self._round += 1
            rounds += 1
            if rounds in LOOKS:
                running = self._without_losers(running)
                if self._is_sure(running):
                    return running
            if self._clock() > until_s:
                return running

    def untuned(self, objective: Objective) -> Trial:
        """The trial that says how the model runs untuned: the first that works."""
        return next(trial for trial in self.trials if trial.fits(objective))

    def best(self, objective: Objective) -> Trial:
        """The trial to take: the untuned one, unless others are surely faster by more than a tie.

        Of those it is the fastest, or the first of several that are within a tie of it.
        """
        untuned = self.untuned(objective)
        faster: list[tuple[Trial, float]] = []
        for trial in self.trials:
            if trial is untuned or not trial.fits(objective):
                continue
            found = trial.beside(untuned, objective)
            if found and found.high < 1 and found.ratio * TIE < 1:
                faster.append((trial, found.ratio))
        limit = TIE * min((ratio for _, ratio in faster), default=0.0)
        return next((trial for trial, ratio in faster if ratio <= limit), untuned)

    def _is_sure(self, running: Sequence[Trial]) -> bool:
        """Whether none can be faster than the best of an objective by more than a tie."""
        for objective in self._objectives:
            best = self.best(objective)
            for trial in running:
                if trial is best or not trial.fits(objective):
                    continue
                found = trial.beside(best, objective)
                if found is None or found.low * TIE < 1:
                    return False
        return True

    def verdict(self, trial: Trial, best: Trial, objective: Objective) -> Verdict:
        """How a trial compares with the one that was taken for an objective."""
        if trial is best or not trial.blocks:
            return Verdict(None, "")
        found = trial.beside(best, objective)
        return Verdict(found, self._reason(trial, best, objective, found))

    def _reason(
        self, trial: Trial, best: Trial, objective: Objective, found: Interval | None
    ) -> str:
        medians = trial.choice().score(objective) < best.choice().score(objective)
        if not medians and not (found and found.ratio < 1):
            return ""
        if not trial.fits(objective):
            return "several frames at a time, so not for one frame"
        if found is None:
            return "faster, but in too few rounds to be sure"
        if found.ratio >= 1:
            return f"{found.line()} of the choice's time in the same rounds"
        if found.high < 1:
            return f"faster, {found.line()}, but by less than {TIE - 1:.0%}"
        return f"faster on average, {found.line()}: not sure"

    def _without_losers(self, running: list[Trial]) -> list[Trial]:
        """The untuned ones, and all that may still be the best of an objective."""
        kept = {id(self.untuned(objective)) for objective in self._objectives}
        for objective in self._objectives:
            fit = [trial for trial in running if trial.fits(objective)]
            leader = min(fit, key=lambda trial: self._standing(trial, objective))
            for trial in fit:
                found = trial.beside(leader, objective)
                if trial is leader or found is None or found.low <= 1:
                    kept.add(id(trial))
        return [trial for trial in running if id(trial) in kept]

    def _standing(self, trial: Trial, objective: Objective) -> float:
        """The mean logarithm of its time over the untuned one's, in the same rounds."""
        found = trial.log_ratios(self.untuned(objective), objective)
        return statistics.fmean(found) if found else math.inf

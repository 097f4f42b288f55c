"""How far the values of a window are from a reference's, and how far they are by chance.

Two measures, each of counts in the reference's bins:

- the population stability index, PSI = sum((p - q) ln(p / q)) over bins with the shares p of the
  window and q of the reference: the symmetric Kullback-Leibler divergence (Jeffreys 1946; as an
  index: Siddiqi, Credit Risk Scorecards, 2006). Half a count is added to each bin, as empty ones
  would make it infinite;
- the Wasserstein-1 distance W1 = integral |P(x) - Q(x)| dx of the distribution functions
  (Vallender 1974), here over the width of the reference, so that 1 means that all values moved by
  that.

Frames follow one another and look alike, so that a window of 120 frames says less than 120 values
drawn at random. What unchanged windows give is found by resampling whole blocks of the reference
(moving blocks, Künsch 1989, from a circle, Politis and Romano 1992), of several lengths, as nobody
knows for how long frames look alike. The reference is resampled, too, as a few minutes are a sample
of what is usual. One factor for all features and both measures makes the rate of false alarms that
of all together (the largest statistic, Westfall and Young 1993); its tail beyond what was drawn is
taken as exponential (Breiman, Stone and Kooperberg 1990).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depthrt.monitor.bins import Bins, counts
from depthrt.monitor.cells import LEAST_DEVIATION, Cells, UsualCells
from depthrt.monitor.features import FEATURES, SMEAR
from depthrt.monitor.reference import Reference

Counts = NDArray[np.float64]

_GROUPS = 8  # of the inner bins, for the PSI: fewer bins are steadier
_DRAWS = 4000
_REFERENCES = 250  # resampled, which the windows are compared with in turn
_TYPICAL = 0.99  # the quantile at which features are made comparable
_TAIL = 0.02  # share of the largest statistics from which the tail goes on
_SCENES = 0.01  # of all scenes that may look like drift, where frames are single scenes
_CELLS_MARGIN = 1.25  # ten minutes show few scenes: means by place stray more than blocks tell
_FEWEST = 0.5  # of a window's frames that must have a feature; with fewer it has no verdict


@dataclass(frozen=True)
class Measures:
    """``psi`` and ``wasserstein`` (over the reference's width), of one window or of many."""

    psi: NDArray[np.float64]
    wasserstein: NDArray[np.float64]


@dataclass(frozen=True)
class Thresholds:
    """``psi`` and ``wasserstein`` that unchanged windows of one feature rarely exceed.

    ``psi`` is infinite where the reference's frames are single scenes.
    """

    psi: float
    wasserstein: float


@dataclass(frozen=True)
class Score:
    """One feature of a window against the reference.

    - ``mean``: of the window, in the feature's unit;
    - ``score``: the larger of both measures over their thresholds: 1 or more is drift. 0 where the
      distributions differ by less than matters.
    """

    mean: float
    psi: float
    wasserstein: float
    score: float


@dataclass(frozen=True)
class Rate:
    """How often an unchanged stream may raise an alarm.

    - ``per_day``: false alarms a day, on average, of all features together;
    - ``step_s``: a verdict is given so often;
    - ``window``: samples that each looks at.
    """

    per_day: float = 0.1
    step_s: float = 10.0
    window: int = 120

    @property
    def share(self) -> float:
        """The share of verdicts that may be wrong."""
        return min(0.5, self.per_day * self.step_s / 86400)


def measure(bins: Bins, reference: Counts, window: Counts) -> Measures:
    """PSI and W1 of windows' counts (...,bins) to a reference's (bins), or each to its own."""
    grouping = _grouping(bins)
    p, q = window @ grouping, reference @ grouping
    p = (p + 0.5) / (p.sum(axis=-1, keepdims=True) + 0.5 * p.shape[-1])
    q = (q + 0.5) / (q.sum(axis=-1, keepdims=True) + 0.5 * q.shape[-1])
    psi = ((p - q) * np.log(p / q)).sum(axis=-1)
    shares = window / np.maximum(window.sum(axis=-1, keepdims=True), 1)
    usual = reference / reference.sum(axis=-1, keepdims=True)
    apart = np.abs(np.cumsum(shares - usual, axis=-1)[..., :-1])
    return Measures(psi, apart @ bins.gaps / bins.width)


def thresholds(reference: Reference, rate: Rate) -> dict[str, Thresholds]:
    """The thresholds of each feature that the reference has.

    Raises:
        ModelError: the reference has no frame.
    """
    random = np.random.default_rng(0)
    plans = [
        _plan(reference, rate.window, blocks, random) for blocks in _blocks(reference, rate.window)
    ]
    others = _other_references(reference, rate.window, random)
    found: dict[str, tuple[Thresholds, NDArray[np.float64]]] = {}
    for name, bins in reference.bins.items():
        codes = reference.codes[name]
        steps = np.zeros((2 * len(codes) + 1, bins.count))
        once = np.equal.outer(codes, np.arange(bins.count))
        np.cumsum(np.concatenate([once, once]), axis=0, out=steps[1:])
        windows = np.concatenate([_windows(steps, plan) for plan in plans])
        usual = counts(codes, bins.count)
        if others is not None:
            again = _windows(steps, others)
            usual = again[np.arange(len(windows)) % len(again)]
        drawn = measure(bins, usual, windows)
        # A window of one scene fills one bin alone: its PSI says nothing, its distance does.
        psi = _typical(drawn.psi) if reference.in_order else math.inf
        typical = Thresholds(psi, _typical(drawn.wasserstein))
        worst = np.maximum(drawn.psi / typical.psi, drawn.wasserstein / typical.wasserstein)
        found[name] = typical, worst
    largest = np.max([worst for _, worst in found.values()], axis=0)
    # Each length of block is a guess of its own: the most careful one counts.
    share = rate.share if reference.in_order else _SCENES
    factor = max(_tail(part, share) for part in np.split(largest, len(plans)))
    return {
        name: Thresholds(factor * each.psi, factor * each.wasserstein)
        for name, (each, _) in found.items()
    }


def usual_cells(cells: Cells, rate: Rate) -> UsualCells:
    """What is usual of texture by place, from pictures that follow one another (N,63)."""
    random, frames, window = np.random.default_rng(0), len(cells), rate.window
    sums = np.zeros((2 * frames + 1, cells.shape[1]))
    np.cumsum(np.concatenate([cells, cells]), axis=0, out=sums[1:])

    def drawn(draws: int, blocks: int, length: int) -> Counts:
        starts = random.integers(0, frames, (draws, blocks))
        found: Counts = sum(sums[start + length] - sums[start] for start in starts.T)
        return found / (length * blocks)

    span = min(frames, window)
    others = drawn(_REFERENCES, max(1, frames // span), span)
    again = others[np.arange(_DRAWS) % len(others)]
    plans = [
        drawn(_DRAWS, blocks, min(frames, max(1, window // blocks))) - again
        for blocks in sorted({max(1, window // 10), 4, 1})
    ]
    deviations = np.maximum(np.concatenate(plans).std(axis=0), LEAST_DEVIATION)
    largest = [_tail((-plan / deviations).max(axis=1), rate.share) for plan in plans]
    return UsualCells(
        cells.mean(axis=0, dtype=np.float64), deviations, _CELLS_MARGIN * max(largest)
    )


def score_cells(usual: UsualCells, window: Cells) -> Score:
    """The score of a window (N,63) by texture at the place that lost most of it."""
    lost, score = usual.loss(window)
    return Score(lost, 0.0, lost, score if lost >= FEATURES[SMEAR].smallest else 0.0)


def score_window(
    reference: Reference,
    limits: Mapping[str, Thresholds],
    window: Mapping[str, NDArray[np.float64]],
) -> dict[str, Score]:
    """The scores of a window: values (N) of each feature, NaN where a frame has none."""
    found = {}
    for name, limit in limits.items():
        values = window.get(name, np.empty(0))
        known = values[~np.isnan(values)]
        if len(known) < max(1, _FEWEST * len(values)):
            continue
        bins = reference.bins[name]
        made = measure(
            bins, counts(reference.codes[name], bins.count), counts(bins.codes(known), bins.count)
        )
        psi, distance = float(made.psi), float(made.wasserstein)
        matters = distance * bins.width >= bins.smallest
        score = max(psi / limit.psi, distance / limit.wasserstein) if matters else 0.0
        found[name] = Score(float(known.mean()), psi, distance, score)
    return found


def _grouping(bins: Bins) -> NDArray[np.float64]:
    """A matrix (bins, groups) that joins bins: inner ones in pairs, all beyond into one each."""
    inner = bins.last - bins.first + 1
    size = max(1, math.ceil(inner / _GROUPS))
    group = np.clip((np.arange(bins.count) - bins.first) // size, -1, (inner - 1) // size + 1) + 1
    group[bins.last + 1 :] = group.max()
    return np.equal.outer(group, np.arange(group.max() + 1)).astype(np.float64)


def _blocks(reference: Reference, window: int) -> list[int]:
    """Blocks in a window: from many short ones to a single one.

    Where each frame is a scene of its own, a window shows one of them.
    """
    return sorted({max(1, window // 10), 4, 1}) if reference.in_order else [1]


@dataclass(frozen=True)
class _Plan:
    """Where the blocks of the drawn windows begin (draws,blocks), and their length.

    ``weight``: how often each frame counts, so that windows of few frames are as long as others.
    """

    starts: NDArray[np.int64]
    length: int
    weight: float


def _plan(reference: Reference, window: int, blocks: int, random: np.random.Generator) -> _Plan:
    """The same frames are drawn for every feature, as these go together."""
    frames = reference.frames
    if not reference.in_order:
        return _Plan(np.arange(frames)[:, None], 1, window)
    length = min(frames, max(1, window // blocks))
    starts = random.integers(0, frames, (_DRAWS, max(1, window // length)))
    return _Plan(starts, length, window / (length * starts.shape[1]))


def _other_references(
    reference: Reference, window: int, random: np.random.Generator
) -> _Plan | None:
    """References that might as well have been learned: each is a sample, too."""
    if not reference.in_order:
        return None
    length = min(reference.frames, window)
    blocks = max(1, reference.frames // length)
    return _Plan(random.integers(0, reference.frames, (_REFERENCES, blocks)), length, 1.0)


def _windows(steps: NDArray[np.float64], plan: _Plan) -> Counts:
    """The counts (draws,bins) of a plan, from running counts (2 N + 1, bins) around the circle."""
    total = np.zeros((len(plan.starts), steps.shape[1]))
    for start in plan.starts.T:
        total += steps[start + plan.length] - steps[start]
    return total * plan.weight


def _typical(drawn: NDArray[np.float64]) -> float:
    return max(float(np.quantile(drawn, _TYPICAL)), 1e-3)


def _tail(statistic: NDArray[np.float64], share: float) -> float:
    """What a share of all statistics exceeds, as far as that can be told; the largest at least."""
    ordered = np.sort(statistic)
    above = min(len(ordered) - 1, max(10, round(_TAIL * len(ordered))))
    start = float(ordered[-above - 1])
    excess = float((ordered[-above:] - start).mean())
    reached = start + excess * math.log(max(1.0, above / (share * len(ordered))))
    return max(reached, float(ordered[-1]))

"""Which way to feed and read a network is right where nobody said it: the runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import combinations
from statistics import fmean

import numpy as np

from depthrt.model.catalogue.registry import DEFAULT_MODEL
from depthrt.model.depth_model import DepthModel
from depthrt.spec import InputSpec
from depthrt_calibration.frames import Sample, sample_frames
from depthrt_export.proof.witness.comparing import (
    COMMON,
    DIRECTIONS,
    MORE_SCENES,
    SCENES,
    Direction,
    Image,
    Map,
    Reading,
    clip,
    correlation,
    depth_of,
    in_turn,
    ranks,
    scenes,
    stands_out,
)
from depthrt_export.proof.witness.finding import Finding, probe
from depthrt_export.sources.network import Normalisation, Reference

_CLIP, _SCENES, _MORE_SCENES = 16, 40, 64  # frames that come with depthrt
_OWN = 32  # frames of the user; more of one video, whose frames are alike, would rule
_FEWEST = 16
_SECONDS = 30.0  # for the runs, as far as more than the fewest frames are concerned


def pick(
    fed: Callable[[Normalisation], Reference],
    spec: InputSpec,
    frames: str | None,
    *,
    normalisation: Normalisation | None = None,
    direction: Direction | None = None,
    metric: bool = False,
) -> Finding:
    """Feed a network in every way that is open and compare its depth with the built-in model's.

    Where two ways are near to one another, more frames are looked at, once.

    Args:
        fed: the network fed with pixels of a normalisation.
        spec: how pictures are prepared for it.
        frames: a source of frames like those that it was trained for; None: those that come with
            depthrt alone.
        normalisation: what the user said, if anything.
        direction: likewise; None: larger may be nearer or farther.
        metric: whether depth is metres, so that two ways are the same only where their values are.

    Raises:
        SourceError: ``frames`` cannot be read.
    """
    ways = COMMON if normalisation is None else {"what was said": normalisation}
    directions = DIRECTIONS if direction is None else (direction,)
    readings = [Reading(name, each) for name in ways for each in directions]
    comparison = Comparison({name: fed(how) for name, how in ways.items()}, metric=metric)
    comparison.show(shown(frames, spec))
    finding = comparison.judge(readings)
    if finding.is_near:
        comparison.show(in_turn([scenes(_MORE_SCENES, spec, MORE_SCENES)]))
        finding = comparison.judge(readings)
    return finding


def shown(frames: str | None, spec: InputSpec) -> list[Image]:
    """The frames of the user, if there are any, and those that come with depthrt, in turn."""
    own: list[Sample] = [] if frames is None else sample_frames(frames, _OWN, spec)
    return in_turn([own, scenes(_SCENES, spec, SCENES), clip(_CLIP, spec)])


class Comparison:
    """A network, fed in every way, beside the built-in model on the same frames.

    Args:
        runs: the network, by what is said of its pixels.
        metric: whether depth is metres.
    """

    def __init__(self, runs: dict[str, Reference], *, metric: bool = False) -> None:
        self._runs, self._metric = runs, metric
        self._witness = DepthModel.load(DEFAULT_MODEL, provider="cpu")
        self._nearness: dict[str, list[float]] = {name: [] for name in runs}
        self._alike: dict[tuple[str, str], list[float]] = {p: [] for p in combinations(runs, 2)}
        self._seconds = 0.0

    def show(self, images: Sequence[Image]) -> None:
        """Run all on frames until the time is over."""
        start_s = time.monotonic()
        for number, pixels in enumerate(images):
            if number >= _FEWEST and time.monotonic() - start_s > _SECONDS:
                break
            self._show(pixels)
        self._seconds += time.monotonic() - start_s

    def judge(self, readings: Sequence[Reading]) -> Finding:
        """What all frames so far say of the readings that are open."""
        sameness: dict[str, dict[str, float]] = {name: {} for name in self._runs}
        for (first, second), values in self._alike.items():
            sameness[first][second] = sameness[second][first] = fmean(values)
        return probe(readings, self._nearness, sameness, self._seconds)

    def _show(self, pixels: Image) -> None:
        picture = np.ascontiguousarray(pixels.transpose(1, 2, 0))
        told = stands_out(ranks(self._witness(picture).values))
        depths = {name: depth_of(run, pixels) for name, run in self._runs.items()}
        ranked = {name: ranks(depth) for name, depth in depths.items()}
        for name, of_ranks in ranked.items():
            self._nearness[name].append(correlation(stands_out(of_ranks), told))
        for (first, second), values in self._alike.items():
            alike = correlation(ranked[first], ranked[second])
            if self._metric:
                alike = min(alike, 1 - _apart(depths[first], depths[second]))
            values.append(alike)


def _apart(first: Map, second: Map) -> float:
    """Mean difference of two depth maps over their mean; 1 where there is none."""
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return 1.0
    size = float(np.abs(first).mean() + np.abs(second).mean()) / 2
    return float(np.abs(first - second).mean()) / size if size else 1.0

"""The thread that runs the network for all streams."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import InferenceError
from depthrt.ladder import Ladder
from depthrt.lanes import End, Lane, Lanes, Prepared
from depthrt.model import DepthModel
from depthrt.results import Finisher, Result
from depthrt.reuse import Reuse, ReuseGate


class Inference:
    """Takes groups of prepared frames from the lanes and gives the results, and the end of each.

    Args:
        lanes: what to take from; they are closed at the end.
        members: the lanes in it.
        most: frames per inference at most.
        wait_s: how long frames wait for others to fill a group; None for as long as it takes.
        ladder: is told how long everything took, where the model may be changed.
        stabilise: take the flicker out of the depth of each stream.
        reuse: frames that did not change take no part in an inference.
    """

    def __init__(
        self,
        lanes: Lanes,
        members: Sequence[Lane],
        most: int,
        wait_s: float | None,
        ladder: Ladder | None,
        *,
        stabilise: bool = False,
        reuse: Reuse | None = None,
    ) -> None:
        self._lanes, self._most, self._wait_s, self._ladder = lanes, most, wait_s, ladder
        self._finishers = {
            lane.name: Finisher(lane.stats, stabilise, ReuseGate(reuse) if reuse else None)
            for lane in members
        }
        self._idle_s = 0.0
        self._dropped = 0

    def run(self) -> Generator[Result | End, None, None]:
        """Start the lanes; results of each in order."""
        with closing(self._lanes):
            self._lanes.start()
            while True:
                start_s = time.perf_counter()
                taken = self._lanes.take(self._most, self._wait_s)
                self._idle_s += time.perf_counter() - start_s
                if taken is None:
                    return
                if isinstance(taken, End):
                    yield taken
                else:
                    yield from self._results([(item, self._unchanged(item)) for item in taken])

    def _unchanged(self, item: Prepared) -> bool:
        finisher = self._finishers[item.lane.name]
        return finisher.unchanged(item.frame, item.pixels, item.model)

    def _results(self, group: list[tuple[Prepared, bool]]) -> Iterator[Result | End]:
        """The results of a group in order; the frames marked as unchanged are not computed."""
        changed = [item for item, unchanged in group if not unchanged]
        maps: Iterator[NDArray[np.float32]] = iter(())
        busy_s = 0.0
        if changed:
            start_s = time.perf_counter()
            try:
                maps = iter(changed[0].model.infer(np.stack([item.pixels for item in changed])))
            except InferenceError as error:
                yield from self._failed(group, error)
                return
            busy_s = time.perf_counter() - start_s
            for item in changed:
                item.lane.stats.add("infer", busy_s / len(changed))
        self._observe(group[0][0].model, len(group), busy_s)
        for item, unchanged in group:
            values = None if unchanged else next(maps)
            finisher = self._finishers[item.lane.name]
            yield finisher.finish(item.frame, item.pixels, values, item.model)

    def _failed(
        self, group: list[tuple[Prepared, bool]], error: InferenceError
    ) -> Iterator[Result | End]:
        """One by one, those that are well get their depth; the stream of the other one ends."""
        if len(group) == 1:
            item, _ = group[0]
            self._lanes.stop(item.lane.name)
            said = InferenceError(f"frame {item.frame.index}: {error}")
            said.__cause__ = error
            yield End(item.lane.name, said)
            return
        ended: set[str] = set()
        for member in group:
            if member[0].lane.name in ended:
                continue
            for event in self._results([member]):
                if isinstance(event, End):
                    ended.add(event.stream)
                yield event

    def _observe(self, model: DepthModel, frames: int, busy_s: float) -> None:
        if self._ladder is None:
            return
        load = self._lanes.load(self._ladder.target_fps)
        self._ladder.observe(
            model,
            frames,
            busy_s=busy_s,
            idle_s=self._idle_s,
            starved=load.live and load.dropped == self._dropped,
            wanted_fps=load.wanted_fps,
        )
        self._idle_s, self._dropped = 0.0, load.dropped

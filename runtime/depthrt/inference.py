"""The thread that runs the network for all streams."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing

import numpy as np

from depthrt.errors import InferenceError
from depthrt.ladder import Ladder
from depthrt.lanes import End, Lane, Lanes, Prepared
from depthrt.results import Finisher, Result


class Inference:
    """Takes groups of prepared frames from the lanes and gives the results, and the end of each.

    Args:
        lanes: what to take from; they are closed at the end.
        members: the lanes in it.
        most: frames per inference at most.
        wait_s: how long frames wait for others to fill a group; None for as long as it takes.
        ladder: is told how long everything took, where the model may be changed.
    """

    def __init__(
        self,
        lanes: Lanes,
        members: Sequence[Lane],
        most: int,
        wait_s: float | None,
        ladder: Ladder | None,
    ) -> None:
        self._lanes, self._most, self._wait_s, self._ladder = lanes, most, wait_s, ladder
        self._finishers = {lane.name: Finisher(lane.stats) for lane in members}
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
                    yield from self._results(taken)

    def _results(self, group: list[Prepared]) -> Iterator[Result | End]:
        model, start_s = group[0].model, time.perf_counter()
        try:
            maps = model.infer(np.stack([item.pixels for item in group]))
        except InferenceError as error:
            yield from self._failed(group, error)
            return
        busy_s = time.perf_counter() - start_s
        self._observe(group, busy_s)
        for item, values in zip(group, maps, strict=True):
            item.lane.stats.add("infer", busy_s / len(group))
            yield self._finishers[item.lane.name].finish(item.frame, item.pixels, values, model)

    def _failed(self, group: list[Prepared], error: InferenceError) -> Iterator[Result | End]:
        """One by one, those that are well get their depth; the stream of the other one ends."""
        if len(group) == 1:
            stream = group[0].lane.name
            self._lanes.stop(stream)
            said = InferenceError(f"frame {group[0].frame.index}: {error}")
            said.__cause__ = error
            yield End(stream, said)
            return
        ended: set[str] = set()
        for item in group:
            if item.lane.name in ended:
                continue
            for event in self._results([item]):
                if isinstance(event, End):
                    ended.add(event.stream)
                yield event

    def _observe(self, group: list[Prepared], busy_s: float) -> None:
        if self._ladder is None:
            return
        load = self._lanes.load(self._ladder.target_fps)
        self._ladder.observe(
            group[0].model,
            len(group),
            busy_s=busy_s,
            idle_s=self._idle_s,
            starved=load.live and load.dropped == self._dropped,
            wanted_fps=load.wanted_fps,
        )
        self._idle_s, self._dropped = 0.0, load.dropped

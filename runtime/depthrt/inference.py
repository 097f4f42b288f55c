"""The thread that runs the network for all streams."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial

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
        self._failed_streams: set[str] = set()  # groups with frames of theirs may be under way
        self._idle_s = 0.0
        self._dropped = 0

    def run(self) -> Generator[Result | End, None, None]:
        """Start the lanes; results of each in order."""
        with closing(self._lanes), closing(_Pool()) as pool:
            self._lanes.start()
            pending: deque[_Pending] = deque()
            while (taken := self._take()) is not None:
                if isinstance(taken, End):
                    yield from self._drained(pending, 0)
                    yield taken
                    continue
                group = [(item, self._unchanged(item)) for item in taken]
                changed = [item for item, unchanged in group if not unchanged]
                pending.append(_Pending(group, pool.start(changed)))
                yield from self._drained(pending, pool.ahead)
            yield from self._drained(pending, 0)

    def _take(self) -> list[Prepared] | End | None:
        start_s = time.perf_counter()
        taken = self._lanes.take(self._most, self._wait_s)
        self._idle_s += time.perf_counter() - start_s
        return taken

    def _unchanged(self, item: Prepared) -> bool:
        finisher = self._finishers[item.lane.name]
        return finisher.unchanged(item.frame, item.pixels, item.model)

    def _drained(self, pending: deque[_Pending], left: int) -> Iterator[Result | End]:
        """The results of the oldest groups, until so many are left."""
        while len(pending) > left:
            yield from self._results(pending.popleft())

    def _results(self, pending: _Pending) -> Iterator[Result | End]:
        """The results of a group in order; the frames marked as unchanged were not computed."""
        try:
            done = pending.wait()
        except InferenceError as error:
            yield from self._failed(pending.group, error)
            return
        for item, unchanged in pending.group:
            if not unchanged:
                item.lane.stats.add("infer", done.busy_s / len(done.maps))
        self._observe(pending.group[0][0].model, len(pending.group), done.busy_s)
        maps = iter(done.maps)
        for item, unchanged in pending.group:
            values = None if unchanged else next(maps)
            if item.lane.name in self._failed_streams:
                continue
            finisher = self._finishers[item.lane.name]
            yield finisher.finish(item.frame, item.pixels, values, item.model)

    def _failed(
        self, group: list[tuple[Prepared, bool]], error: InferenceError
    ) -> Iterator[Result | End]:
        """One by one, those that are well get their depth; the stream of the other one ends."""
        if len(group) == 1:
            item, _ = group[0]
            if item.lane.name in self._failed_streams:
                return
            self._failed_streams.add(item.lane.name)
            self._lanes.stop(item.lane.name)
            said = InferenceError(f"frame {item.frame.index}: {error}")
            said.__cause__ = error
            yield End(item.lane.name, said)
            return
        for member in group:
            if member[0].lane.name not in self._failed_streams:
                changed = [] if member[1] else [member[0]]
                yield from self._results(_Pending([member], partial(_compute, changed)))

    def _observe(self, model: DepthModel, frames: int, busy_s: float) -> None:
        if self._ladder is None:
            return
        load = self._lanes.load(self._ladder.target_fps)
        if not load.wanted_fps:
            return  # the last groups of streams that have ended
        self._ladder.observe(
            model,
            frames,
            busy_s=busy_s,
            idle_s=self._idle_s,
            starved=load.live and load.dropped == self._dropped,
            wanted_fps=load.wanted_fps,
        )
        self._idle_s, self._dropped = 0.0, load.dropped


@dataclass(frozen=True, eq=False)
class _Done:
    """Depth maps N,h,w and the seconds they took."""

    maps: NDArray[np.float32]
    busy_s: float


@dataclass(frozen=True, eq=False)
class _Pending:
    """A group, which of its frames did not change, and what waits for the depth of the others."""

    group: list[tuple[Prepared, bool]]
    wait: Callable[[], _Done]


class _Pool:
    """Runs as many inferences at a time as a model was opened for.

    ``ahead``: groups to start before the oldest one is waited for; one more than there are
    threads, so that none of them is idle while results are finished.
    """

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None
        self.ahead = 0

    def start(self, changed: list[Prepared]) -> Callable[[], _Done]:
        """What to call for the depth of these frames."""
        parallel = changed[0].model.parallel if changed else 1
        if parallel > 1 and self._threads is None:
            self._threads = ThreadPoolExecutor(parallel, "depthrt-infer")
            self.ahead = parallel
        if self._threads is None or not changed:
            return partial(_compute, changed)
        return self._threads.submit(_compute, changed).result

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)


def _compute(changed: list[Prepared]) -> _Done:
    if not changed:
        return _Done(np.empty((0, 0, 0), np.float32), 0.0)
    start_s = time.perf_counter()
    maps = changed[0].model.infer(np.stack([item.pixels for item in changed]))
    return _Done(maps, time.perf_counter() - start_s)

"""The thread that runs the network for all streams."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import InferenceError
from depthrt.ladder import Ladder
from depthrt.lane import End, Lane, Prepared
from depthrt.lanes import Lanes
from depthrt.model import DepthModel
from depthrt.results import Finisher, Result
from depthrt.reuse import Reuse, ReuseGate

_BURST_S = 0.1  # of inferences in a row: long enough to pay, short enough to be stopped


Group: TypeAlias = list[tuple[Prepared, bool]]  # frames of one inference; whether unchanged


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
        burst: frames that a thread works on in a row at most, where they are there already.
        turns: held for each burst.
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
        burst: int = 1,
        turns: AbstractContextManager[object] | None = None,
    ) -> None:
        self._lanes, self._most, self._wait_s, self._ladder = lanes, most, wait_s, ladder
        self._finishers = {
            lane.name: Finisher(lane.stats, stabilise, ReuseGate(reuse) if reuse else None)
            for lane in members
        }
        self._failed_streams: set[str] = set()  # groups with frames of theirs may be under way
        self._idle_s = 0.0
        self._dropped = 0
        self._burst, self._turns = burst, turns or nullcontext()
        self._frame_s = _BURST_S  # what a frame took last; the first one is wanted soon

    def run(self) -> Generator[Result | End, None, None]:
        """Start the lanes; results of each in order."""
        with closing(self._lanes), closing(_Pool(self._turns)) as pool:
            self._lanes.start()
            pending: deque[_Pending] = deque()
            while (taken := self._take()) is not None:
                if isinstance(taken, End):
                    yield from self._drained(pending, 0)
                    yield taken
                    continue
                groups = [[(item, self._unchanged(item)) for item in group] for group in taken]
                pending.append(_Pending(groups, pool.start([_changed(g) for g in groups])))
                yield from self._drained(pending, pool.ahead)
            yield from self._drained(pending, 0)

    def _take(self) -> list[list[Prepared]] | End | None:
        start_s = time.perf_counter()
        frames = min(self._burst, int(_BURST_S / self._frame_s))
        taken = self._lanes.take_burst(self._most, self._wait_s, frames)
        self._idle_s += time.perf_counter() - start_s
        return taken

    def _unchanged(self, item: Prepared) -> bool:
        finisher = self._finishers[item.lane.name]
        return finisher.unchanged(item.frame, item.pixels, item.model)

    def _drained(self, pending: deque[_Pending], left: int) -> Iterator[Result | End]:
        """The results of the oldest bursts, until so many are left."""
        while len(pending) > left:
            oldest = pending.popleft()
            outcomes = oldest.wait()
            events: list[Result | End] = []
            failure: BaseException | None = None
            try:
                with self._turns:
                    for group, outcome in zip(oldest.groups, outcomes, strict=True):
                        for event in self._results(group, outcome):
                            events.append(event)
            except BaseException as error:
                failure = error
            yield from events
            if failure is not None:
                raise failure

    def _results(self, group: Group, done: _Done | Exception) -> Iterator[Result | End]:
        """The results of a group in order; the frames marked as unchanged were not computed."""
        if isinstance(done, InferenceError):
            yield from self._failed(group, done)
            return
        if isinstance(done, Exception):
            raise done
        self._frame_s = max(done.busy_s / len(group), 1e-6)
        for item, unchanged in group:
            if not unchanged:
                item.lane.stats.add("infer", done.busy_s / len(done.maps))
        self._observe(group[0][0].model, len(group), done.busy_s)
        maps = iter(done.maps)
        for item, unchanged in group:
            values = None if unchanged else next(maps)
            if item.lane.name in self._failed_streams:
                continue
            finisher = self._finishers[item.lane.name]
            yield finisher.finish(item.frame, item.pixels, values, item.model)

    def _failed(self, group: Group, error: InferenceError) -> Iterator[Result | End]:
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
                yield from self._results([member], _attempt(_changed([member])))

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
    """Groups, one inference each, and what waits for their depth or the errors in its place."""

    groups: list[Group]
    wait: Callable[[], list[_Done | Exception]]


class _Pool:
    """Runs as many inferences at a time as a model was opened for.

    ``ahead``: bursts to start before the oldest one is waited for; one more than there are
    threads, so that none of them is idle while results are finished.
    """

    def __init__(self, turns: AbstractContextManager[object]) -> None:
        self._turns = turns
        self._threads: ThreadPoolExecutor | None = None
        self.ahead = 0

    def start(self, groups: list[list[Prepared]]) -> Callable[[], list[_Done | Exception]]:
        """What to call for the depth of these frames, one inference for each group."""
        parallel = max((group[0].model.parallel for group in groups if group), default=1)
        if parallel > 1 and self._threads is None:
            self._threads = ThreadPoolExecutor(parallel, "depthrt-infer")
            self.ahead = parallel + 1
        if self._threads is None:
            return partial(self._compute, groups)
        return self._threads.submit(self._compute, groups).result

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)

    def _compute(self, groups: list[list[Prepared]]) -> list[_Done | Exception]:
        with self._turns:
            return [_attempt(group) for group in groups]


def _changed(group: Group) -> list[Prepared]:
    return [item for item, unchanged in group if not unchanged]


def _attempt(changed: list[Prepared]) -> _Done | Exception:
    if not changed:
        return _Done(np.empty((0, 0, 0), np.float32), 0.0)
    start_s = time.perf_counter()
    try:
        maps = changed[0].model.infer(np.stack([item.pixels for item in changed]))
    except Exception as error:  # each group has its own, told when its turn comes
        return error
    return _Done(maps, time.perf_counter() - start_s)

"""The thread that runs the network for all streams."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from functools import partial

from depthrt.finishing import Done, Finishing, Group, attempt
from depthrt.ladder import Ladder
from depthrt.lane import End, Lane, Prepared
from depthrt.lanes import Lanes
from depthrt.model import DepthModel
from depthrt.results import Result
from depthrt.reuse import Reuse

_BURST_S = 0.1  # of inferences in a row: long enough to pay, short enough to be stopped


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
        self._finishing = Finishing(members, stabilise=stabilise, reuse=reuse)
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
                unchanged = self._finishing.unchanged
                groups = [[(item, unchanged(item)) for item in group] for group in taken]
                pending.append(_Pending(groups, pool.start(groups)))
                yield from self._drained(pending, pool.ahead)
            yield from self._drained(pending, 0)

    def _take(self) -> list[list[Prepared]] | End | None:
        start_s = time.perf_counter()
        frames = min(self._burst, int(_BURST_S / self._frame_s))
        taken = self._lanes.take_burst(self._most, self._wait_s, frames)
        self._idle_s += time.perf_counter() - start_s
        return taken

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
                        if isinstance(outcome, Done):
                            self._observe(group[0][0].model, len(group), outcome.busy_s)
                        for event in self._finishing.results(group, outcome):
                            if isinstance(event, End):
                                self._lanes.stop(event.stream)
                            events.append(event)
            except BaseException as error:
                failure = error
            yield from events
            if failure is not None:
                raise failure

    def _observe(self, model: DepthModel, frames: int, busy_s: float) -> None:
        self._frame_s = max(busy_s / frames, 1e-6)
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
class _Pending:
    """Groups, one inference each, and what waits for their depth or the errors in its place."""

    groups: list[Group]
    wait: Callable[[], list[Done | Exception]]


class _Pool:
    """Runs as many inferences at a time as a model was opened for.

    ``ahead``: bursts to start before the oldest one is waited for; one more than there are
    threads, so that none of them is idle while results are finished.
    """

    def __init__(self, turns: AbstractContextManager[object]) -> None:
        self._turns = turns
        self._threads: ThreadPoolExecutor | None = None
        self.ahead = 0

    def start(self, groups: list[Group]) -> Callable[[], list[Done | Exception]]:
        """What to call for the depth of these frames, one inference for each group."""
        parallel = max(group[0][0].model.parallel for group in groups)
        if parallel > 1 and self._threads is None:
            self._threads = ThreadPoolExecutor(parallel, "depthrt-infer")
            self.ahead = parallel + 1
        if self._threads is None:
            return partial(self._compute, groups)
        return self._threads.submit(self._compute, groups).result

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)

    def _compute(self, groups: list[Group]) -> list[Done | Exception]:
        with self._turns:
            return [attempt(group) for group in groups]

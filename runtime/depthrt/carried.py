"""One recording, by as many threads as there are cores, which do whatever can be done next.

The thread that takes the results is one of them: it lends a hand while it would wait for the next
one, so that no core has two threads at work and none is without. Few frames are under way, and one
is decoded and prepared in one go: what a stage needs is in the caches still.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from functools import partial

from depthrt.finishing import Done, Finishing, Group, attempt
from depthrt.lane import End, Lane, Prepared, prepared
from depthrt.model import DepthModel
from depthrt.results import Result
from depthrt.session import usable_cores


def can_carry(lanes: Sequence[Lane], model: DepthModel) -> bool:
    """Whether it is one recording, and a model for as many inferences at a time as cores."""
    return len(lanes) == 1 and lanes[0].is_work and model.parallel == usable_cores() > 1


class _Load:
    """Frames of one inference on their way.

    ``begun``: somebody runs it; ``outcome``: their depth, or the error in its place.
    """

    def __init__(self, group: Group) -> None:
        self.group = group
        self.begun = False
        self.outcome: Done | Exception | None = None


class Carried:
    """Gives the results of a recording, and its end.

    Args:
        lane: the recording.
        model: on the CPU, opened for as many inferences at a time as threads shall work.
        finishing: makes the results.
        most: frames per inference.
        ahead: frames under way or waiting to be taken, at most.
        pictures: frames keep their pixels once they are prepared.
    """

    def __init__(
        self,
        lane: Lane,
        model: DepthModel,
        finishing: Finishing,
        most: int,
        ahead: int,
        *,
        pictures: bool = True,
    ) -> None:
        self._lane, self._model, self._finishing = lane, model, finishing
        self._most, self._ahead, self._pictures = most, max(ahead, most), pictures
        self._frames = iter(lane.source.frames())
        self._begun = False  # whether something was read
        self._next_item: Prepared | None = None  # of another size than those before it
        self._changed = threading.Condition()  # guards all below
        self._loads: deque[_Load] = deque()  # in order
        self._events: deque[Result | End] = deque()
        self._under_way = 0  # frames read whose results were not taken
        self._reads = self._finishes = False  # whether somebody does
        self._read_all = self._over = False
        self._error: Exception | None = None  # of the source
        self._failure: BaseException | None = None  # of a stage

    def run(self) -> Generator[Result | End, None, None]:
        """Start to work; results in order."""
        threads = [
            threading.Thread(target=self._help, name=f"depthrt-carry-{number}", daemon=True)
            for number in range(1, self._model.parallel)
        ]
        try:
            for thread in threads:
                thread.start()
            while (event := self._next()) is not None:
                yield event
        finally:
            self.cancel()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
            if isinstance(self._frames, Generator):
                self._frames.close()
            self.close()

    def stop(self, name: str) -> None:
        """End it; results that were made already may still come, in ``run`` of whatever thread."""
        self.cancel()

    def close(self) -> None:
        """End it, and close a source of which nothing was read: others close with their frames."""
        self.cancel()
        close = getattr(self._lane.source, "close", None)
        if close is not None and not self._begun:
            close()

    def cancel(self) -> None:
        """End soon, from whatever thread."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _help(self) -> None:
        while True:
            with self._changed:
                while (job := self._job()) is None:
                    if self._over:
                        return
                    self._changed.wait()
            self._do(job, BaseException)

    def _next(self) -> Result | End | None:
        """The next result, after work on others if it is not there; the end; None after it."""
        while True:
            with self._changed:
                if self._events:
                    self._under_way -= 1
                    self._changed.notify_all()
                    return self._events.popleft()
                if self._failure is not None:
                    raise self._failure
                if self._over and not self._finishes:  # the last ones may be about to come
                    return None
                if self._read_all and not self._loads:
                    self._over = True
                    self._changed.notify_all()
                    return End(self._lane.name, self._error)
                job = self._job()
                if job is None:
                    self._changed.wait()
                    continue
            self._do(job, Exception)  # Ctrl-C ends it at once

    def _job(self) -> Callable[[], None] | None:
        """What can be done now.

        Frames leave before others come in, but for a few that wait for inference: else a thread
        would find nothing to do while another one decodes.
        """
        if self._over or self._failure is not None:
            return None
        if self._loads and self._loads[0].outcome is not None and not self._finishes:
            self._finishes = True
            return partial(self._finish, self._loads[0], self._loads[0].outcome)
        waiting = [load for load in self._loads if not load.begun]
        room = self._under_way + self._most <= self._ahead
        if room and not (self._reads or self._read_all) and len(waiting) < self._model.parallel:
            self._reads = True
            return self._read_some
        if waiting:
            waiting[0].begun = True
            return partial(self._infer, waiting[0])
        return None

    def _do(self, job: Callable[[], None], caught: type[BaseException]) -> None:
        try:
            job()
        except caught as failure:  # it travels to the consumer
            with self._changed:
                self._failure = self._failure or failure
                self._changed.notify_all()

    def _read_some(self) -> None:
        group: Group = []
        error, more = None, True
        try:
            more = self._fill(group)
        except Exception as caught:  # what came before it is good
            error, more = caught, False
        with self._changed:
            self._reads = False
            self._read_all, self._error = not more, error
            if group:
                self._loads.append(_Load(group))
                self._under_way += len(group)
            self._changed.notify_all()

    def _infer(self, load: _Load) -> None:
        outcome = attempt(load.group)
        with self._changed:
            load.outcome = outcome
            self._changed.notify_all()

    def _fill(self, group: Group) -> bool:
        """Read the frames of one inference, which have one size; whether more may come."""
        while len(group) < self._most and not self._over:
            item, self._next_item = self._next_item or self._read(), None
            if item is None:
                return False
            if group and not item.fits(group[0][0]):
                self._next_item = item
                return True
            group.append((item, self._finishing.unchanged(item)))
        return True

    def _read(self) -> Prepared | None:
        self._begun = True
        start_s = time.perf_counter()
        frame = next(self._frames, None)
        decoded_s = time.perf_counter()
        self._lane.stats.add("decode", decoded_s - start_s)
        if frame is None:
            return None
        item = prepared(self._lane, frame, self._model, pictures=self._pictures)
        self._lane.stats.add("prepare", time.perf_counter() - decoded_s)
        return item

    def _finish(self, load: _Load, outcome: Done | Exception) -> None:
        events: list[Result | End] = []
        failure: Exception | None = None
        try:
            for event in self._finishing.results(load.group, outcome):
                if isinstance(event, End):
                    self.cancel()
                events.append(event)
        except Exception as caught:  # after what came before it
            failure = caught
        with self._changed:
            self._loads.popleft()
            self._finishes = False
            self._events.extend(events)
            self._failure = self._failure or failure
            self._changed.notify_all()

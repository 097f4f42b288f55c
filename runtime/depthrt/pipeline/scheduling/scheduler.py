"""The one mechanism that gives the frames of every source their depth.

    source --reads--> waiting frames --infers--> batches --post-processes--> results --> consumer

Every thread takes the next job that can be done: post-process the oldest batch, read a frame of a
file, or run the network. Three rules decide:

- at most ``model.parallel`` inferences run at a time; they begin and are handed on in order;
- a source that may block (a camera, a network, a user's iterable) is read in a thread of its own;
- the consumer, the thread that asks for results, also takes jobs instead of waiting, unless a
  stream is live. So every core has exactly one thread at work.

:mod:`depthrt.pipeline.threads` says how it ends. In addition, ``cancel`` aborts the inferences that
run and asks blocking sources to stop; each thread finishes its last job. The thread that reads a
source closes it; a thread that ends closes the sources that no thread reads. A scheduler that
starts while the interpreter exits has no threads: the consumer does everything. In a child of
``fork`` it raises an error.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from depthrt.errors import UsageError
from depthrt.model.depth_model import DepthModel
from depthrt.model.inference import Abort
from depthrt.pipeline.batch import Batch, Inferred, StreamPostprocessor
from depthrt.pipeline.gap_batch import GapChain
from depthrt.pipeline.ladder.model_ladder import Ladder
from depthrt.pipeline.live_keyframes import LiveKeyframes, LiveStream
from depthrt.pipeline.options import StreamOptions
from depthrt.pipeline.scheduling.plan import Plan
from depthrt.pipeline.stream_state import End, Job, OpenStreams, StreamState
from depthrt.pipeline.threads import LOOK_S
from depthrt.result import Result
from depthrt.system.cpu_cores import usable_cores
from depthrt.system.interrupts import raise_interrupt_behind

_LEND_S = 0.25  # inferences that take longer are not run by the consumer: Ctrl-C would wait


class Scheduler(OpenStreams):
    """Results of several open sources, in order within each, and the end of each.

    Args:
        streams: under names that differ; they are read from the first result on.
        model: the model, or a ladder of them that holds a rate.
        options: how frames are taken.
        postprocessors: of streams that go on where others ended, by name.
        chains: the gaps of such streams with keyframes, by name.
    """

    def __init__(
        self,
        streams: Sequence[StreamState],
        model: DepthModel | Ladder,
        options: StreamOptions,
        postprocessors: Mapping[str, StreamPostprocessor] | None = None,
        chains: Mapping[str, GapChain] | None = None,
    ) -> None:
        super().__init__(streams)
        plan = Plan.of(self._streams, model, options)
        self._live, self._parallel, self._batch = plan.live, plan.parallel, plan.batch
        self._meter, self._behind = plan.meter, plan.behind
        self._chains = {**plan.chains, **(chains or {})}
        self._queue = plan.queue
        self._readers = plan.readers
        self._postprocessors = {**plan.postprocessors, **(postprocessors or {})}
        self._abort = Abort()
        self._started = False
        self._alone = False  # the consumer does everything: no thread can be started any more
        # What follows is guarded by ``lock``.
        self._batches: deque[Batch | End] = deque()  # in order
        self._events: deque[Result | End] = deque()
        self._inferring = 0
        self._postprocessing = False
        self._workers = 0
        self._infer_s: float | None = None  # that the last inference took
        self._failure: BaseException | None = None  # of this mechanism itself

    def __iter__(self) -> Iterator[Result | End]:
        """The events until the end; then everything is closed."""
        try:
            while (event := self.next_event()) is not None:
                yield event
        finally:
            self.close()

    def next_event(self) -> Result | End | None:
        """The next result, or the end of a stream; None after the end of all.

        Raises:
            UsageError: in a child process that was forked.
        """
        if self.is_forked:
            raise UsageError("this stream belongs to the process that was forked: open it here")
        try:
            if not (self._started or self.over):
                self._start()
            while True:
                with self.lock:
                    if self._closed:
                        return None
                    if self._failure is not None:
                        raise self._failure
                    self._pass_on_ends()
                    if self._events:
                        event = self._taken(self._events.popleft())
                        if event is not None:
                            return event
                        continue
                    if self.over or self._is_done():
                        return None
                    job = None if self._live else self._next_job(by_consumer=True)
                    if job is None:
                        self._wait()
                        continue
                self.do(job)
        except BaseException as error:  # Ctrl-C in the middle of a job leaves nothing to go on with
            self.cancel()
            raise_interrupt_behind(error)
            raise

    def cancel(self) -> None:
        """Ask all streams to end, from whatever thread, and wait for nobody."""
        if not self.is_forked:
            self._abort.now()
        super().cancel()

    def abandon(self) -> None:
        """End it from a finaliser: what may run in any thread, in the middle of anything."""
        if not self.is_forked:
            self._abort.now()
        super().abandon()

    def _start(self) -> None:
        """Start the threads: one for each source that may block, and the workers.

        Raises:
            UsageError: the interpreter is exiting, and a source may block.
        """
        blocking = [s for s in self._streams.values() if self._live or s.source.info.blocks]
        if not threading.main_thread().is_alive():
            if blocking:
                raise UsageError("the interpreter is exiting: no more streams can be read")
            self._started = self._alone = True
            return
        self._started = True
        for stream in blocking:
            self.start_thread(partial(self._read_all, stream), f"read-{stream.name}")
        count = self._parallel + (self._behind is not None)
        if not self._live:  # the consumer is one of them
            useful = len(self._streams) + self._parallel + 1
            count = max(1, min(max(usable_cores(), self._parallel), useful) - 1)
        for _ in range(count):
            self._start_worker()

    def _start_worker(self) -> None:
        self._workers += 1
        self.start_thread(self._work, f"work-{self._workers}")

    def _work(self) -> None:
        """Do jobs until the end."""
        while True:
            job = None
            with self.lock:
                while not self.over and (job := self._next_job()) is None:
                    self._wait()
            if job is None:
                break
            try:
                self.do(job)
            except BaseException as error:  # it travels to the consumer
                with self.lock:
                    self._failure = self._failure or error
                    self.changed.notify_all()
        self.ask_to_stop()
        self.close_sources()

    def _wait(self) -> None:
        self.changed.wait(min(LOOK_S, self._queue.due_in_s()))

    def _next_job(self, *, by_consumer: bool = False) -> Job | None:
        """What can be done now; it is marked as begun.

        Frames leave before others come in, but for as many as keep the network busy: else a thread
        would find nothing to infer while another one reads. Where one inference at a time takes
        all cores, the network comes first, as a core is idle while it waits: 1.3 of the rate with
        OpenVINO on two cores. Not where a stream is live: a result would wait for an inference.
        """
        if self.over or self._failure is not None:
            return None
        self._pass_on_ends()
        may_infer = not by_consumer or self._alone or (self._infer_s or 1.0) <= _LEND_S
        infers_first = may_infer and self._parallel == 1 and not self._live
        job = self._infer_job() if infers_first else None
        job = job or self._postprocess_job() or self._read_job(needed=True)
        if job is None and may_infer:
            job = self._infer_job()
        return job or self._read_job(needed=False)

    def _pass_on_ends(self) -> None:
        """Put the ends of streams behind the batches with their last frames."""
        self._queue.drop_old()
        while (stream := self._queue.take_ended()) is not None:
            self._batches.append(End(stream.name, stream.error))
        while self._batches and isinstance(end := self._batches[0], End):
            self._batches.popleft()
            stream = self._streams[end.stream]
            if not (stream.told or stream.cancelled):
                stream.told = True
                self._events.append(end)
                self.changed.notify_all()

    def _is_done(self) -> bool:
        return self._queue.is_over and not self._batches and not self._events

    def _postprocess_job(self) -> Job | None:
        head = self._batches[0] if self._batches else None
        if self._postprocessing or not isinstance(head, Batch) or head.outcome is None:
            return None
        self._postprocessing = True
        return partial(self._postprocess, head)

    def _read_job(self, *, needed: bool) -> Job | None:
        """Read of the recording with the fewest frames waiting; ``needed``: only if all are few."""
        if self._live or (needed and self._queue.frames >= self._parallel * self._batch):
            return None
        stream = self._queue.next_to_read(self._frames_taken())
        if stream is None:
            return None
        stream.reading = True
        return partial(self._read, stream)

    def _frames_taken(self) -> int:
        """Frames that were taken from the queue and whose results wait to be handed over."""
        inferring = sum(len(each.frames) for each in self._batches if isinstance(each, Batch))
        return inferring + len(self._events)

    def _infer_job(self) -> Job | None:
        """Run the network for the next batch, once that is full or has waited long enough."""
        if self._behind is not None:
            return self._live_job(self._behind)
        if self._inferring >= self._parallel or (self._live and self._events):
            return None
        group = self._queue.take()
        if not group:
            if self._meter is not None and not self._inferring:
                self._meter.idle()
            return None
        unchanged = [
            self._postprocessors[item.stream.name].unchanged(item.frame, item.pixels, item.model)
            for item in group
        ]
        if self._meter is not None:
            self._meter.infer()
        chain = self._chains.get(group[0].stream.name)
        make = Batch if chain is None else chain.batch
        return self._begin(make(group, unchanged, self._abort))

    def _live_job(self, behind: LiveKeyframes) -> Job | None:
        """Give a frame depth by flow; else let the network see one in the background."""
        found = behind.take(self._queue, self._abort, results_wait=bool(self._events))
        if isinstance(found, Batch):
            return self._begin(found)
        return None if found is None else partial(self._infer_behind, found)

    def _infer_behind(self, stream: LiveStream) -> None:
        end = stream.infer_behind(self._abort)
        if end is not None and not self.over:
            with self.lock:
                self._streams[end.stream].told = True
                self._events.append(end)
            self.stop(end.stream)

    def _begin(self, batch: Batch) -> Job:
        self._batches.append(batch)
        self._inferring += 1
        return partial(self._infer, batch)

    def _read_all(self, stream: StreamState) -> None:
        """Read a source that may block, in this thread of its own."""
        while self._wait_to_read(stream):
            self._read(stream)
        stream.close(self.lock)

    def _wait_to_read(self, stream: StreamState) -> bool:
        """Wait until another frame may be read; False when none is to come."""
        with self.lock:
            while not (self.over or stream.finished or stream.cancelled):
                if self._queue.may_read(stream, self._frames_taken()):
                    stream.reading = True
                    return True
                self.changed.wait(LOOK_S)
        return False

    def _read(self, stream: StreamState) -> None:
        """Read one frame; whatever the source raises is the end of this stream alone."""
        self._readers[stream.name].read(self._queue.add, self)
        if self.over:
            stream.close(self.lock)

    def _infer(self, batch: Batch) -> None:
        outcome = batch.infer()
        with self.lock:
            self._inferring -= 1
            batch.outcome = outcome
            if isinstance(outcome, Inferred):
                self._infer_s = outcome.busy_s
                lacks_consumer = outcome.busy_s > _LEND_S and self._workers < self._parallel
                if lacks_consumer and not (self.over or self._alone):
                    self._start_worker()
            self.changed.notify_all()

    def _postprocess(self, batch: Batch) -> None:
        events: list[Result | End] = []
        try:
            for event in batch.results(self._postprocessors):
                if isinstance(event, End):
                    self._streams[event.stream].told = True
                    self.stop(event.stream)
                events.append(event)
            if self._meter is not None and isinstance(batch.outcome, Inferred):
                with self.lock:
                    load = self._queue.load(self._meter.target_fps)
                self._meter.observe(batch.model, len(batch.frames), batch.outcome.busy_s, load)
        finally:
            with self.lock:
                self._batches.popleft()
                self._postprocessing = False
                self._events.extend(events)
                self.changed.notify_all()

    def _taken(self, event: Result | End) -> Result | End | None:
        """Count a result that the consumer takes; None if it is too old by now."""
        self.changed.notify_all()
        if isinstance(event, End) or (captured_s := event.frame.captured_s) is None:
            return event
        stream, latency_s = self._streams[event.frame.stream], time.monotonic() - captured_s
        if self._queue.too_late(stream, latency_s):
            return None
        stream.stats.latency.add(latency_s)
        return replace(event, latency_s=latency_s)

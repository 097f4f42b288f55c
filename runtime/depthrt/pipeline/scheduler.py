"""The one mechanism that gives the frames of every source their depth.

    source --reads--> waiting frames --infers--> batches --post-processes--> results --> consumer

Threads, whoever they are, take the next job that can be done: post-process the oldest batch, read
a frame of a file, run the network. Three rules decide:

- at most ``model.parallel`` inferences run at a time; they begin and are handed on in order;
- a source that may block (a camera, a network, somebody's iterable) is read in a thread of its own;
- the consumer, the thread that asks for results, lends a hand while it would wait, where no stream
  is live. So no core has two threads at work and none is without.

How it ends, whoever ends it (``close``, an error, Ctrl-C, a finaliser, the interpreter's exit):

1. ``cancel`` sets a flag, wakes all threads and asks blocking sources to stop. It waits for nobody.
2. Every thread leaves at its next look; the last job under way is finished, an inference aborted.
   A thread that leaves closes the sources that nobody reads. A reader closes its own source.
3. ``close`` cancels, then waits for the threads, a second at most. A thread that is still held up
   by its source is left to itself: it is a daemon, and closes the source when that lets it go.
4. A finaliser may run in any thread, in the middle of anything. ``abandon`` therefore only sets the
   flag and wakes the threads if it gets the lock at once; no thread waits longer than a second
   without a look at the flag.
5. At the interpreter's exit all schedulers are cancelled and waited for, as threads inside
   onnxruntime would abort the process when it goes. One that is begun after that has no threads:
   the consumer does everything.
6. A child of ``fork`` has none of the threads: there a scheduler gives an error and ends silently.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from depthrt.errors import UsageError
from depthrt.model.depth_model import Abort, DepthModel
from depthrt.model.session import usable_cores
from depthrt.pipeline.batch import Batch, Inferred
from depthrt.pipeline.exit import end_at_exit
from depthrt.pipeline.frame_queue import FrameQueue
from depthrt.pipeline.model_ladder import Ladder
from depthrt.pipeline.options import StreamOptions, default_batch
from depthrt.pipeline.postprocess import StreamPostprocessor
from depthrt.pipeline.stream_state import End, FrameReader, PreparedFrame, StreamState
from depthrt.result import Result
from depthrt.temporal.frame_reuse import ReuseGate

CLOSE_S = 0.8  # that closing waits for threads
LOOK_S = 1.0  # that a thread waits at most without a look at whether it is to end
_LEND_S = 0.25  # inferences that take longer are not run by the consumer: Ctrl-C would wait


class Scheduler:
    """Results of several open sources, in order within each, and the end of each.

    Args:
        streams: under names that differ; they are read from the first result on.
        model: the model, or a ladder of them that holds a rate.
        options: how frames are taken.
    """

    def __init__(
        self, streams: Sequence[StreamState], model: DepthModel | Ladder, options: StreamOptions
    ) -> None:
        self._streams = {stream.name: stream for stream in streams}
        self._ladder = model if isinstance(model, Ladder) else None
        first = model.model if isinstance(model, Ladder) else model
        self._choose_model = partial(_model_of, model)
        infos = [stream.source.info for stream in streams]
        self._live = any(info.live for info in infos)
        self._most = options.batch or default_batch(first, len(streams), live=self._live)
        self._wait_s = options.batch_wait_s(infos)
        self._parallel = 1 if self._ladder else first.parallel
        self._ahead, capacity = options.frames_ahead(infos), 2 * self._most
        if len(streams) == 1:
            self._ahead = max(self._ahead, 2 * self._most)
            capacity = self._ahead
        else:
            capacity = max(2, -(-2 * self._most // len(streams)))
            self._ahead = len(streams) * capacity + self._parallel * self._most
        self._queue = FrameQueue(streams, capacity, options.limits)
        self._readers = {
            stream.name: FrameReader(
                stream, self._choose_model, options.limits.max_rate, pictures=options.pictures
            )
            for stream in streams
        }
        self._postprocessors = {
            stream.name: StreamPostprocessor(
                stream.stats,
                options.stabilise,
                ReuseGate(options.reuse) if options.reuse else None,
            )
            for stream in streams
        }
        self._abort = Abort()
        self._process = os.getpid()
        self._alone = False  # the consumer does everything, as no thread can be waited for any more
        self._threads: list[threading.Thread] = []
        self._over = self._closed = False
        self._close_by_s: float | None = None  # when the threads have been waited for long enough
        self._asked_to_stop = False
        self._changed = threading.Condition()  # guards all below; its lock is re-entrant
        self._batches: deque[Batch | End] = deque()  # in order
        self._events: deque[Result | End] = deque()
        self._under_way = 0  # frames of recordings that were begun and whose results were not taken
        self._inferring = 0
        self._jobs = 0  # under way, in whatever thread
        self._postprocessing = False
        self._infer_s: float | None = None  # that the last inference took
        self._gathering_since_s: float | None = None  # frames wait for others to fill a batch
        self._idle_since_s: float | None = None  # the network waits for frames
        self._idle_s, self._dropped = 0.0, 0  # since the ladder was told
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
        if self._process != os.getpid():
            raise UsageError("this stream belongs to the process that was forked: open it here")
        if not (self._threads or self._alone or self._over):
            self._start()
        try:
            while True:
                with self._changed:
                    if self._closed:
                        return None
                    if self._failure is not None:
                        raise self._failure
                    if self._events:
                        event = self._taken(self._events.popleft())
                        if event is not None:
                            return event
                        continue
                    if self._over or self._is_done():
                        return None
                    job = None if self._live else self._next_job(by_consumer=True)
                    if job is None:
                        self._changed.wait(self._patience_s())
                        continue
                self._do(job)
        except BaseException:  # Ctrl-C in the middle of a job leaves nothing that could go on
            self.cancel()
            raise

    def stop(self, name: str) -> None:
        """End one stream; results that were made already may still come."""
        stream = self._streams[name]
        with self._changed:
            stream.cancelled = True
            self._forget_waiting(stream)
            self._changed.notify_all()
        _ask_to_stop(stream)
        self._close_source(stream)

    def cancel(self) -> None:
        """Ask all streams to end, from whatever thread, and wait for nobody."""
        if self._process != os.getpid():
            return
        self._over = True
        self._abort.now()
        with self._changed:
            for stream in self._streams.values():
                stream.cancelled = True
            self._changed.notify_all()
        self._ask_all_to_stop()

    def abandon(self) -> None:
        """End it from a finaliser: what may run in any thread, in the middle of anything."""
        self._over = True
        if self._process != os.getpid():
            return
        self._abort.now()
        if not self._threads:
            for stream in self._streams.values():
                if not stream.source.info.blocks:
                    self._close_source(stream)
        elif self._changed.acquire(blocking=False):
            self._changed.notify_all()
            self._changed.release()

    def close(self, wait_s: float = CLOSE_S) -> None:
        """End all streams and wait for their threads, but not for one that a source holds up.

        Closed again, it waits no longer than ``wait_s`` seconds from the first time.
        """
        if self._process != os.getpid():
            return
        self.cancel()
        with self._changed:
            self._closed = True
            threads = list(self._threads)
            if self._close_by_s is None:
                self._close_by_s = time.monotonic() + wait_s
            close_by_s = self._close_by_s
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, close_by_s - time.monotonic()))
        self._close_sources()

    @property
    def is_busy(self) -> bool:
        """Whether a thread is inside the network or a decoder."""
        return self._jobs > 0 and self._process == os.getpid()

    def _start(self) -> None:
        """Start the threads: one for each source that may block, and the workers.

        Raises:
            UsageError: the interpreter is exiting, and a source may block.
        """
        if not threading.main_thread().is_alive():
            if self._live or any(s.source.info.blocks for s in self._streams.values()):
                raise UsageError("the interpreter is exiting: no more streams can be read")
            self._alone = True
            return
        end_at_exit(self)
        with self._changed:
            if not self._threads and not self._over:
                self._start_threads()

    def _start_threads(self) -> None:
        blocking = [s for s in self._streams.values() if self._live or s.source.info.blocks]
        for stream in blocking:
            self._add_thread(partial(self._read_all, stream), f"read-{stream.name}")
        count = self._parallel
        if not self._live:
            useful = len(self._streams) + self._parallel + 1
            count = max(1, min(max(usable_cores(), self._parallel), useful) - 1)
        for number in range(1, count + 1):
            self._add_thread(self._work, f"work-{number}")

    def _add_thread(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=target, name=f"depthrt-{name}", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _work(self) -> None:
        """Do jobs until the end."""
        while True:
            job = None
            with self._changed:
                while not self._over and (job := self._next_job()) is None:
                    self._changed.wait(self._patience_s())
            if job is None:
                break
            try:
                self._do(job)
            except BaseException as error:  # it travels to the consumer
                with self._changed:
                    self._failure = self._failure or error
                    self._changed.notify_all()
        self._ask_all_to_stop()
        self._close_sources()

    def _do(self, job: Callable[[], None]) -> None:
        # The main thread is not counted: what exits is that thread, and Ctrl-C may come anywhere.
        counted = threading.current_thread() is not threading.main_thread()
        with self._changed:
            self._jobs += counted
        try:
            job()
        finally:
            with self._changed:
                self._jobs -= counted

    def _next_job(self, *, by_consumer: bool = False) -> Callable[[], None] | None:
        """What can be done now; it is marked as begun.

        Frames leave before others come in, but for as many as keep the network busy: else a thread
        would find nothing to infer while another one reads.
        """
        if self._over or self._failure is not None:
            return None
        self._pass_on_ends()
        job = self._postprocess_job() or self._read_job(needed=True)
        leaves_it = by_consumer and not self._alone and (self._infer_s or 1.0) > _LEND_S
        if job is None and not leaves_it:
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
                self._changed.notify_all()

    def _is_done(self) -> bool:
        self._pass_on_ends()
        return self._queue.is_over and not self._batches and not self._events

    def _postprocess_job(self) -> Callable[[], None] | None:
        head = self._batches[0] if self._batches else None
        if self._postprocessing or not isinstance(head, Batch) or head.outcome is None:
            return None
        self._postprocessing = True
        return partial(self._postprocess, head)

    def _read_job(self, *, needed: bool) -> Callable[[], None] | None:
        """Read of the recording with the fewest frames waiting; ``needed``: only if all are few."""
        if self._live or (needed and self._queue.frames >= self._parallel * self._most):
            return None
        best: StreamState | None = None
        for stream in self._streams.values():
            if stream.source.info.blocks or not self._may_read(stream):
                continue
            if best is None or len(stream.waiting) < len(best.waiting):
                best = stream
        if best is None:
            return None
        self._begin_to_read(best)
        return partial(self._read, best)

    def _may_read(self, stream: StreamState) -> bool:
        idle = not (stream.reading or stream.finished or stream.cancelled)
        room = stream.live or self._under_way < self._ahead
        return idle and room and self._queue.has_room(stream)

    def _begin_to_read(self, stream: StreamState) -> None:
        stream.reading = True
        self._under_way += not stream.live

    def _infer_job(self) -> Callable[[], None] | None:
        """Run the network for the next batch, once that is full or has waited long enough."""
        if self._inferring >= self._parallel or (self._live and self._events):
            return None
        group = self._queue.pick(self._most)
        if not group:
            if not self._inferring and self._idle_since_s is None:
                self._idle_since_s = time.perf_counter()
            return None
        if len(group) < self._most and self._queue.may_grow(group):
            now_s = time.monotonic()
            self._gathering_since_s = self._gathering_since_s or now_s
            if self._wait_s is None or now_s < self._gathering_since_s + self._wait_s:
                return None
        self._gathering_since_s = None
        if self._idle_since_s is not None:
            self._idle_s += time.perf_counter() - self._idle_since_s
            self._idle_since_s = None
        self._queue.remove(group)
        unchanged = [
            self._postprocessors[item.stream.name].unchanged(item.frame, item.pixels, item.model)
            for item in group
        ]
        batch = Batch(group, unchanged, self._abort)
        self._batches.append(batch)
        self._inferring += 1
        return partial(self._infer, batch)

    def _patience_s(self) -> float:
        """How long a thread may wait until it has to look again."""
        if self._gathering_since_s is None or self._wait_s is None:
            return LOOK_S
        return min(LOOK_S, max(0.0, self._gathering_since_s + self._wait_s - time.monotonic()))

    def _read_all(self, stream: StreamState) -> None:
        """Read a source that may block, in this thread of its own."""
        while True:
            with self._changed:
                while not (self._over or stream.cancelled or self._may_read(stream)):
                    if stream.finished:
                        return
                    self._changed.wait(LOOK_S)
                if self._over or stream.cancelled:
                    break
                self._begin_to_read(stream)
            self._read(stream)
        self._close_source(stream)

    def _read(self, stream: StreamState) -> None:
        """Read one frame; whatever the source raises is the end of this stream alone."""
        item: PreparedFrame | None = None
        error: BaseException | None = None
        ended = True
        try:
            item = self._readers[stream.name].next()
            ended = item is None
        except Exception as caught:
            error = caught
        except BaseException as caught:
            if threading.current_thread() is threading.main_thread():  # it may be Ctrl-C
                raise
            error = caught
        finally:
            with self._changed:
                stream.reading = False
                if item is None or stream.cancelled:
                    self._under_way -= not stream.live
                else:
                    self._queue.add(item)
                stream.finished, stream.error = ended, error
                self._changed.notify_all()
            if ended or stream.cancelled or self._over:
                self._close_source(stream)

    def _infer(self, batch: Batch) -> None:
        outcome = batch.infer()
        with self._changed:
            self._inferring -= 1
            batch.outcome = outcome
            if isinstance(outcome, Inferred):
                self._infer_s = outcome.busy_s
                if outcome.busy_s > _LEND_S:
                    self._replace_consumer()
            self._changed.notify_all()

    def _replace_consumer(self) -> None:
        """Start a worker for the consumer, which does not run long inferences."""
        workers = sum(thread.name.startswith("depthrt-work-") for thread in self._threads)
        if workers < self._parallel and not (self._over or self._alone):
            self._add_thread(self._work, f"work-{workers + 1}")

    def _postprocess(self, batch: Batch) -> None:
        events: list[Result | End] = []
        try:
            for event in batch.results(self._postprocessors):
                if isinstance(event, End):
                    self._streams[event.stream].told = True
                    self.stop(event.stream)
                events.append(event)
            if isinstance(batch.outcome, Inferred):
                self._tell_ladder(batch, batch.outcome.busy_s)
        finally:
            with self._changed:
                self._batches.popleft()
                self._postprocessing = False
                self._events.extend(events)
                results = sum(isinstance(event, Result) for event in events)
                recorded = sum(not item.stream.live for item in batch.frames)
                self._under_way -= max(0, recorded - results) if not self._live else recorded
                self._changed.notify_all()

    def _tell_ladder(self, batch: Batch, busy_s: float) -> None:
        if self._ladder is None:
            return
        with self._changed:
            load = self._queue.load(self._ladder.target_fps)
            idle_s, self._idle_s = self._idle_s, 0.0
            dropped, self._dropped = self._dropped, load.dropped
        if load.wanted_fps:  # else these are the last frames of streams that have ended
            self._ladder.observe(
                batch.model,
                len(batch.frames),
                busy_s=busy_s,
                idle_s=idle_s,
                starved=load.live and load.dropped == dropped,
                wanted_fps=load.wanted_fps,
            )

    def _taken(self, event: Result | End) -> Result | End | None:
        """Count a result that the consumer takes; None if it is too old by now."""
        self._changed.notify_all()
        if isinstance(event, End):
            return event
        self._under_way -= not self._live
        captured_s = event.frame.captured_s
        if captured_s is None:
            return event
        stream, latency_s = self._streams[event.frame.stream], time.monotonic() - captured_s
        if self._queue.too_late(stream, latency_s):
            return None
        stream.stats.latency.add(latency_s)
        return replace(event, latency_s=latency_s)

    def _forget_waiting(self, stream: StreamState) -> None:
        self._under_way -= 0 if stream.live else len(stream.waiting)
        stream.waiting.clear()

    def _ask_all_to_stop(self) -> None:
        """Tell sources that wait for a device or a network; once, and without the lock."""
        with self._changed:
            asked, self._asked_to_stop = self._asked_to_stop, True
        if not asked:
            for stream in self._streams.values():
                _ask_to_stop(stream)

    def _close_sources(self) -> None:
        for stream in self._streams.values():
            self._close_source(stream)

    def _close_source(self, stream: StreamState) -> None:
        """Close a source that nobody reads, once."""
        with self._changed:
            if stream.reading or stream.closed:
                return
            stream.closed = True
            frames, stream.frames = stream.frames, None
        with suppress(Exception):  # it has ended, however badly it takes leave
            if isinstance(frames, Generator):
                frames.close()
            else:
                stream.source.close()


def _model_of(model: DepthModel | Ladder) -> DepthModel:
    return model.model if isinstance(model, Ladder) else model


def _ask_to_stop(stream: StreamState) -> None:
    with suppress(Exception):
        stream.source.stop()

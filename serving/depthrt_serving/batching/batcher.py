"""Batches of images across clients: who is next, what is refused, and what is let go.

An image waits in a fair queue, is decoded in a thread, and joins the next batch. Only so many are
decoded ahead as the next batches take: what is refused or given up later has cost nothing. Without
threads that decode ahead, batches hold one image, which is decoded as its inference begins. A batch
is ended while it runs once nobody waits for any of its images: all hung up, or it is too late.

All methods run in the event loop's thread; ``prepare`` and ``predict`` run in threads.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import UsageError
from depthrt.model.inference import Prediction
from depthrt_serving.batching.batch import Batch, finish
from depthrt_serving.batching.estimate import Estimate
from depthrt_serving.batching.fair_queue import FairQueue
from depthrt_serving.batching.options import BatchOptions, Predict, Watcher
from depthrt_serving.batching.refusal import Reason, RefusedError
from depthrt_serving.batching.retry import RetryLine
from depthrt_serving.batching.work import Computed, Item, Prepare, State, Work
from depthrt_serving.batching.workers import Found, Workers

_UNDONE = (State.WAITING, State.PREPARING, State.READY, State.NEXT)


class Batcher:
    """The queue of a model, and the threads that work it off."""

    def __init__(
        self, predict: Predict, options: BatchOptions, estimate: Estimate, watcher: Watcher
    ) -> None:
        self.options, self.estimate = options, estimate
        self._predict, self._watcher = predict, watcher
        self._queue: FairQueue[Item] = FairQueue()
        self._retries = RetryLine(options.queue_images)
        self._preparing = 0  # images
        self._ready: deque[Item] = deque()
        self._ready_since_s = 0.0
        self._wait_timer: asyncio.TimerHandle | None = None
        if options.batch > 1 and not options.preparers:
            raise ValueError("batches of several images need threads that decode")
        self._preparers = ThreadPoolExecutor(
            max(1, options.preparers), "prepare"
        )  # begun when used
        self._workers = Workers(options.parallel, self._ended)

    @property
    def waiting(self) -> int:
        """Images that are not in a batch yet."""
        return len(self._queue) + self._decoding + len(self._workers.ahead)

    @property
    def _decoding(self) -> int:
        """Images that are decoded ahead, and are not in a batch yet."""
        return self._preparing + len(self._ready)

    @property
    def running(self) -> int:
        """Batches that are being computed."""
        return self._workers.running

    @property
    def oldest_s(self) -> float:
        """How long the oldest image has waited, in seconds."""
        items = (*self._queue, *self._ready, *self._workers.ahead)
        entered = [item.entered_s for item in items]
        return time.monotonic() - min(entered) if entered else 0.0

    def check(self, images: int, client: str, deadline_s: float) -> None:
        """Refuse early what :meth:`compute` would refuse now.

        Raises:
            RefusedError: the queue is full, or the deadline cannot be kept.
            UsageError: more images than may wait at all.
        """
        most = self.options.queue_images
        if images > most:
            raise UsageError(f"{images} images at once are too many: at most {most} may wait")
        excess = self.waiting + images - most
        if excess > 0 and not self._may_displace(images, client):
            self._refuse("queue_full", images, excess / self.estimate.rate)
        left_s = self._inner(deadline_s) - time.monotonic()
        least_s = self.estimate.least_s_for(images)
        if least_s > left_s:
            self.estimate.doubt()
            self._watcher.refused("late", images)
            raise RefusedError("late", None, least_s)
        ahead = self._queue.ahead(client, images) + self.waiting - len(self._queue)
        ahead += round(self.running * self.options.batch / 2)  # half done, on average
        needed_s = (ahead + images - 1) / self.estimate.rate + self.estimate.batch_s
        if needed_s > left_s and not self._is_idle:
            self._refuse("late", images, needed_s - left_s)

    async def compute(
        self, prepares: Sequence[Prepare], client: str, deadline_s: float
    ) -> Computed:
        """Depth of a request's images; cancelling it takes them out of the queue.

        Args:
            prepares: make the network's input of each image, in a thread.
            client: clients take turns.
            deadline_s: by ``time.monotonic``; what cannot be there by then is refused.

        Raises:
            RefusedError: at once, or later, before any of the images is in a batch.
            DepthrtError: of ``prepare`` or ``predict``.
        """
        self.check(len(prepares), client, deadline_s)
        while self.waiting + len(prepares) > self.options.queue_images:
            if not self._displace(client, len(prepares)):
                break
        loop = asyncio.get_running_loop()
        deadline_s = self._inner(deadline_s)
        work = Work(client, deadline_s, loop.create_future())
        now_s = time.monotonic()
        batch_s = self.estimate.least_s_for(1) if self._is_idle else self.estimate.batch_s
        work.items = [Item(work, prepare, now_s) for prepare in prepares]
        for item in work.items:
            self._queue.push(client, item)
        work.timer = loop.call_later(max(0.0, deadline_s - batch_s - now_s), self._expire, work)
        self._go_on()
        try:
            return await work.future
        except asyncio.CancelledError:
            undone = sum(item.state in _UNDONE for item in work.items)
            self._drop(work)
            self._watcher.abandoned(undone)
            self._go_on()
            raise
        finally:
            work.timer.cancel()

    def close(self) -> None:
        """End the threads once what they do is done."""
        self._preparers.shutdown(wait=False, cancel_futures=True)
        self._workers.close()

    @property
    def _is_idle(self) -> bool:
        """Whether there is nothing to do: then what could be in time is tried.

        After one batch that took long all would be refused, and none would show that the next ones
        do not take as long.
        """
        return not self.running and not self.waiting

    def _inner(self, deadline_s: float) -> float:
        """The deadline, less what the request and its answer take outside of the batcher."""
        return deadline_s if self._is_idle else deadline_s - self.estimate.ways_s

    def _refuse(self, reason: Reason, images: int, excess_s: float) -> None:
        raise self._refusal(reason, images, excess_s)

    def _refusal(self, reason: Reason, images: int, excess_s: float) -> RefusedError:
        self._watcher.refused(reason, images)
        return RefusedError(reason, self._retries.book(images, excess_s, self.estimate.rate))

    def _may_displace(self, images: int, client: str) -> bool:
        longest = self._queue.newest_of_longest()
        if longest is None or longest[0] == client:
            return False
        return self._queue.waiting(client) + images < self._queue.waiting(longest[0])

    def _displace(self, client: str, images: int) -> bool:
        """Refuse the newest request of the client with the most images; whether there is one."""
        longest = self._queue.newest_of_longest()
        if longest is None or not self._may_displace(images, client):
            return False
        excess = self.waiting + images - self.options.queue_images
        self._fail(longest[1].work, "displaced", excess / self.estimate.rate)
        return True

    def _expire(self, work: Work) -> None:
        """Refuse a request that cannot be computed in time any more, or was not."""
        if work.is_over:
            return
        left_s = work.deadline_s - time.monotonic()
        if work.is_begun and left_s > 0:
            work.timer = asyncio.get_running_loop().call_later(left_s, self._expire, work)
            return
        self._fail(work, "late", self.waiting / self.estimate.rate)
        self._go_on()

    def _fail(self, work: Work, reason: Reason, excess_s: float) -> None:
        self._end(work, self._refusal(reason, len(work.items), excess_s))

    def _end(self, work: Work, error: BaseException) -> None:
        if not work.future.done():
            work.future.set_exception(error)
        self._drop(work)

    def _drop(self, work: Work) -> None:
        """Take the images of a request that is over out of every queue and batch."""
        if any(item.state is State.NEXT for item in work.items):
            for item in reversed(self._workers.withdraw()):
                item.state = State.READY
                self._ready.appendleft(item)
        for item in work.items:
            if item.state is State.WAITING:
                self._queue.discard(work.client, item)
            elif item.state is State.READY:
                self._ready.remove(item)
            if item.state not in (State.NEXT, State.RUNNING):
                item.state = State.DROPPED
        self._workers.end_unwanted()

    def _go_on(self) -> None:
        """Start what can be started."""
        self._prepare_more()
        self._run_more()

    def _prepare_more(self) -> None:
        options = self.options
        most_ahead = options.batch * (options.parallel + 1) - len(self._workers.ahead)
        while len(self._queue) and self._preparing < options.preparers:
            if self._decoding >= most_ahead:
                return
            item = self._queue.pop()
            item.state = State.PREPARING
            self._preparing += 1
            future = asyncio.get_running_loop().run_in_executor(self._preparers, item.prepare)
            future.add_done_callback(partial(self._prepared, item))

    def _prepared(self, item: Item, done: asyncio.Future[NDArray[np.uint8]]) -> None:
        self._preparing -= 1
        if done.cancelled():  # the threads were ended
            return
        error = done.exception()
        if item.state is not State.PREPARING:
            pass  # nobody waits for it any more
        elif error is not None:
            self._end(item.work, error)
        else:
            item.prepared, item.state = done.result(), State.READY
            if not self._ready:
                self._ready_since_s = time.monotonic()
            self._ready.append(item)
        self._go_on()

    def _run_more(self) -> None:
        while items := self._take():
            self._workers.start(Batch(items), self._predict)

    def _take(self) -> list[Item]:
        """Images of a batch that a thread is free for, or that may wait for one; else none."""
        is_free = self._workers.is_free
        if not is_free and self._workers.ahead:
            return []
        if not self.options.preparers:
            return [self._queue.pop()] if len(self._queue) else []
        items = self._next_batch()
        if len(items) < self.options.batch and not (is_free and items and not self._waits()):
            return []
        for item in items:
            self._ready.remove(item)
        self._ready_since_s = time.monotonic()
        return items

    def _next_batch(self) -> list[Item]:
        """The oldest images of one size."""
        if not self._ready:
            return []
        shape = _shape(self._ready[0])
        return [item for item in self._ready if _shape(item) == shape][: self.options.batch]

    def _waits(self) -> bool:
        """Whether images that are being decoded are worth waiting for."""
        if not self._preparing:
            return False
        left_s = self._ready_since_s + self.options.wait_s - time.monotonic()
        if left_s <= 0:
            return False
        if self._wait_timer is not None:
            self._wait_timer.cancel()
        self._wait_timer = asyncio.get_running_loop().call_later(left_s, self._run_more)
        return True

    def _ended(self, batch: Batch, found: Found) -> None:
        now_s = time.monotonic()
        self._note(batch, now_s)
        for item, one in zip(batch.items, found, strict=True):
            item.state = State.DONE
            if isinstance(one, Prediction):
                item.prediction = one
                finish(item, batch)
            else:
                self._end(item.work, one)
        self._go_on()

    def _note(self, batch: Batch, now_s: float) -> None:
        """Learn from a batch that has ended."""
        images, backlog = len(batch.items), self.waiting > 0
        if not batch.was_decoded:
            self.estimate.skip(0.0, now_s, backlog=backlog)
            if batch.was_ended:
                self._watcher.batch_aborted(images)
            return
        self.estimate.add_lag(now_s - batch.end_s)
        seconds = now_s - batch.start_s
        if batch.was_ended:
            self.estimate.skip(seconds, now_s, backlog=backlog)
            self._watcher.batch_aborted(images)
        else:
            self.estimate.add(images, seconds, now_s, backlog=backlog)
            self._watcher.batch_done(images, batch.end_s - batch.infer_s, batch.wasted)


def _shape(item: Item) -> tuple[int, ...]:
    return () if item.prepared is None else item.prepared.shape

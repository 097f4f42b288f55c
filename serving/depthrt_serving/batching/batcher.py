"""Batches of images across clients: who is next, what is refused, and what is let go.

An image waits in a fair queue, is decoded in a thread, and joins the next batch. Only so many are
decoded ahead as the next batches take: what is refused or given up later has cost nothing.

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
from depthrt_serving.batching.estimate import Estimate
from depthrt_serving.batching.fair_queue import FairQueue
from depthrt_serving.batching.options import BatchOptions, Predict, Watcher
from depthrt_serving.batching.refusal import Reason, RefusedError
from depthrt_serving.batching.work import Computed, Item, Prepare, State, Work


class Batcher:
    """The queue of a model, and the threads that work it off."""

    def __init__(
        self, predict: Predict, options: BatchOptions, estimate: Estimate, watcher: Watcher
    ) -> None:
        self.options, self.estimate = options, estimate
        self._predict, self._watcher = predict, watcher
        self._queue: FairQueue[Item] = FairQueue()
        self._preparing, self._running = 0, 0  # images; batches
        self._ready: deque[Item] = deque()
        self._ready_since_s = 0.0
        self._wait_timer: asyncio.TimerHandle | None = None
        self._preparers = ThreadPoolExecutor(options.preparers, "prepare")
        self._workers = ThreadPoolExecutor(options.parallel, "infer")

    @property
    def waiting(self) -> int:
        """Images that are not in a batch yet."""
        return len(self._queue) + self._preparing + len(self._ready)

    @property
    def running(self) -> int:
        """Batches that are being computed."""
        return self._running

    @property
    def oldest_s(self) -> float:
        """How long the oldest image has waited, in seconds."""
        entered = [*(i.entered_s for i in self._queue), *(i.entered_s for i in self._ready)]
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
        ahead = self._queue.ahead(client, images) + self.waiting - len(self._queue)
        ahead += round(self._running * self.options.batch / 2)  # half done, on average
        needed_s = (ahead + images - 1) / self.estimate.rate + self.estimate.batch_s
        excess_s = needed_s - (deadline_s - time.monotonic())
        if excess_s > 0:
            self._refuse("late", images, excess_s)

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
        work = Work(client, deadline_s, loop.create_future())
        now_s = time.monotonic()
        work.items = [Item(work, prepare, now_s) for prepare in prepares]
        for item in work.items:
            self._queue.push(client, item)
        latest_s = deadline_s - self.estimate.batch_s
        work.timer = loop.call_later(max(0.0, latest_s - now_s), self._expire, work)
        self._go_on()
        try:
            return await work.future
        except asyncio.CancelledError:
            undone = sum(
                i.state in (State.WAITING, State.PREPARING, State.READY) for i in work.items
            )
            self._drop(work)
            self._watcher.abandoned(undone)
            self._go_on()
            raise
        finally:
            work.timer.cancel()

    def close(self) -> None:
        """End the threads once what they do is done."""
        self._preparers.shutdown(wait=False, cancel_futures=True)
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _refuse(self, reason: Reason, images: int, retry_after_s: float) -> None:
        self._watcher.refused(reason, images)
        raise RefusedError(reason, retry_after_s)

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
        """Refuse a request that cannot be computed in time any more."""
        if not work.is_over and not work.is_begun:
            self._fail(work, "late", max(0.0, self.waiting / self.estimate.rate))
            self._go_on()

    def _fail(self, work: Work, reason: Reason, retry_after_s: float) -> None:
        self._watcher.refused(reason, len(work.items))
        self._end(work, RefusedError(reason, retry_after_s))

    def _end(self, work: Work, error: BaseException) -> None:
        self._drop(work)
        if not work.future.done():
            work.future.set_exception(error)

    def _drop(self, work: Work) -> None:
        """Take a request's images out of every queue; those in a batch are computed for nobody."""
        for item in work.items:
            if item.state is State.WAITING:
                self._queue.discard(work.client, item)
            elif item.state is State.READY:
                self._ready.remove(item)
            if item.state is not State.RUNNING:
                item.state = State.DROPPED

    def _go_on(self) -> None:
        """Start what can be started."""
        self._prepare_more()
        self._run_more()

    def _prepare_more(self) -> None:
        options = self.options
        most_ahead = options.batch * (options.parallel + 1)
        while len(self._queue) and self._preparing < options.preparers:
            if self._preparing + len(self._ready) >= most_ahead:
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
        while self._ready and self._running < self.options.parallel:
            items = self._next_batch()
            if len(items) < self.options.batch and self._waits():
                return
            for item in items:
                self._ready.remove(item)
                item.state = State.RUNNING
            self._ready_since_s = time.monotonic()
            self._running += 1
            asyncio.get_running_loop().create_task(self._run(items))

    def _next_batch(self) -> list[Item]:
        """The oldest images of one size."""
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

    async def _run(self, items: list[Item]) -> None:
        start_s = time.monotonic()
        loop = asyncio.get_running_loop()
        prepared = [item.prepared for item in items if item.prepared is not None]
        found = await loop.run_in_executor(self._workers, self._infer, prepared)
        end_s = time.monotonic()
        seconds = end_s - start_s
        self._running -= 1
        self.estimate.add(len(items), seconds, end_s, backlog=self.waiting > 0)
        wasted = sum(item.work.is_over for item in items)
        self._watcher.batch_done(len(items), seconds, wasted)
        for item, one in zip(items, found, strict=True):
            item.state = State.DONE
            if isinstance(one, Prediction):
                item.prediction = one
                _finish(item, start_s, seconds, len(items))
            else:
                self._end(item.work, one)
        self._go_on()

    def _infer(self, prepared: list[NDArray[np.uint8]]) -> list[Prediction | Exception]:
        """Depth of each image, or why there is none: one that fails must not fail the others."""
        try:
            return list(self._predict(np.stack(prepared)))
        except Exception as error:
            if len(prepared) == 1:
                return [error]
        return [found for each in prepared for found in self._infer([each])]


def _shape(item: Item) -> tuple[int, ...]:
    return () if item.prepared is None else item.prepared.shape


def _finish(item: Item, start_s: float, seconds: float, batch: int) -> None:
    """Hand over the images of a request once all of them are computed."""
    work = item.work
    predictions = [i.prediction for i in work.items if i.prediction is not None]
    if work.is_over or len(predictions) < len(work.items):
        return
    prepared = [i.prepared for i in work.items if i.prepared is not None]
    queue_s = start_s - item.entered_s
    work.future.set_result(Computed(predictions, prepared, queue_s, seconds, batch))

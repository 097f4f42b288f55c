"""Threads that compute batches, and the one batch that the next free thread takes by itself.

Without that one a thread would idle until the event loop, which has much else to do, has seen that
it is free.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from depthrt.model.inference import Prediction
from depthrt_serving.batching.batch import Batch
from depthrt_serving.batching.options import Predict
from depthrt_serving.batching.work import Item, State

Found = list[Prediction | Exception]
"""Depth of each image of a batch, or why there is none."""


class Workers:
    """The threads; all methods run in the event loop's thread.

    Args:
        parallel: threads.
        ended: is told of a batch that was computed.
    """

    def __init__(self, parallel: int, ended: Callable[[Batch, Found], None]) -> None:
        self._parallel, self._ended = parallel, ended
        self._running: set[Batch] = set()
        self._ahead: Batch | None = None
        self._ahead_done: Future[Found] | None = None
        self._threads = ThreadPoolExecutor(parallel, "infer")

    @property
    def running(self) -> int:
        """Batches that are being computed."""
        return len(self._running)

    @property
    def ahead(self) -> list[Item]:
        """Images of the batch that waits for a thread; none: another one may wait."""
        return [] if self._ahead is None else list(self._ahead.items)

    @property
    def is_free(self) -> bool:
        """Whether a thread has nothing to do."""
        return len(self._running) < self._parallel

    def start(self, batch: Batch, predict: Predict) -> None:
        """Compute a batch now, or as the next one if no thread is free.

        Args:
            batch: its images are ``RUNNING`` then, or ``NEXT``.
            predict: runs the network.

        Raises:
            RuntimeError: another one waits already.
        """
        if self._ahead is not None:
            raise RuntimeError("a batch waits for a thread already")
        done = self._threads.submit(batch.infer, predict)
        if self.is_free:
            self._run(batch)
        else:
            batch.mark(State.NEXT)
            self._ahead, self._ahead_done = batch, done
        asyncio.wrap_future(done).add_done_callback(partial(self._done, batch))

    def withdraw(self) -> list[Item]:
        """Take back the batch that waits; none if a thread has it already."""
        items = self.ahead
        if self._ahead_done is None or not self._ahead_done.cancel():
            return []
        self._ahead = self._ahead_done = None
        return items

    def end_unwanted(self) -> None:
        """End every inference whose images nobody waits for."""
        for batch in self._running:
            batch.end_if_unwanted()
        if self._ahead is not None:  # a thread has it: else it would have been withdrawn
            self._ahead.end_if_unwanted()

    def close(self) -> None:
        """End the threads once what they do is done."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _done(self, batch: Batch, done: asyncio.Future[Found]) -> None:
        if done.cancelled():  # withdrawn, or the threads were ended
            return
        self._running.discard(batch)
        following, self._ahead, self._ahead_done = self._ahead, None, None
        if following is not None and following is not batch:  # which is so short that it ended
            self._run(following)
        self._ended(batch, done.result())

    def _run(self, batch: Batch) -> None:
        batch.mark(State.RUNNING)
        self._running.add(batch)

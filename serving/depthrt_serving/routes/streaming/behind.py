"""Keyframes of one connection: frames get depth by flow while the network infers behind them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.model.inference import Prediction
from depthrt.temporal.keyframes import Estimate, Keyframes
from depthrt.temporal.live_carry import LiveCarry
from depthrt_serving.batching.refusal import RefusedError

OLDEST_S = 8.0  # of a keyframe: an older one says little of what is seen now

Infer = Callable[[], Coroutine[Any, Any, Prediction]]
"""Asks the network for a frame; what is refused there leaves the last keyframe in its place."""


class Behind:
    """The last keyframe, and the inference of the next one in the background.

    Args:
        options: when the network is needed.
        threads: for sums that would hold up the event loop.
    """

    def __init__(self, options: Keyframes, threads: Executor) -> None:
        self._carry, self._threads = LiveCarry(options), threads
        self._task: asyncio.Task[None] | None = None
        self._not_before_s = 0.0
        self.audit_error: float | None = None
        self.refused: RefusedError | None = None

    def is_there(self, time_s: float) -> bool:
        """Whether there is a keyframe for a frame of this time (``time.monotonic``)."""
        return 0 <= self._carry.age_s(time_s) <= OLDEST_S

    def carry(self, pixels: NDArray[np.uint8], time_s: float) -> Estimate | None:
        """The depth of a frame by flow, in a thread; None: the network has to see it."""
        return self._carry.carry(pixels, time_s) if self._carry.may_carry(pixels) else None

    def learn(self, pixels: NDArray[np.uint8], time_s: float, made: Prediction) -> None:
        """Take a frame that was inferred as the keyframe from now on, in a thread."""
        self._carry.learn(pixels, time_s, made)

    def go_on(
        self, pixels: NDArray[np.uint8], time_s: float, given: Estimate, infer: Infer
    ) -> None:
        """Have the network see a frame in the background, where that is due.

        Args:
            pixels: the frame, as the network is to see it.
            time_s: when it came.
            given: its depth by flow.
            infer: asks the network for it.

        Raises:
            Exception: what failed the last time, unless it was refused.
        """
        if self._task is not None and self._task.done():
            task, self._task = self._task, None
            task.result()
        if self._task is None and self._carry.is_due(given) and time_s >= self._not_before_s:
            own = replace(given, made=given.made.copy())  # the result is worked on in place
            self._task = asyncio.ensure_future(self._see(pixels, time_s, own, infer))

    async def close(self) -> None:
        """Take what waits for the network out of its queue."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _see(
        self, pixels: NDArray[np.uint8], time_s: float, given: Estimate, infer: Infer
    ) -> None:
        try:
            made = await infer()
        except RefusedError as error:
            self.refused = error
            self._not_before_s = time.monotonic() + (error.retry_after_s or 0.0)
            return
        self.refused = None
        compare = partial(self._compare, pixels, time_s, given, made)
        await asyncio.get_running_loop().run_in_executor(self._threads, compare)

    def _compare(
        self, pixels: NDArray[np.uint8], time_s: float, given: Estimate, made: Prediction
    ) -> None:
        self.audit_error = self._carry.audit(given, made)
        self._carry.learn(pixels, time_s, made)

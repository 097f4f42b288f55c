"""A batcher by itself, with real threads and a network that waits as it is told."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import InferenceError
from depthrt.model.inference import Abort, Prediction
from depthrt_serving.batching.batcher import Batcher
from depthrt_serving.batching.estimate import Estimate
from depthrt_serving.batching.options import BatchOptions

LATER_S = 60.0


@dataclass
class Network:
    """Depth is the pixel's value; a batch waits until the gate is open."""

    gate: threading.Event = field(default_factory=threading.Event)
    batches: list[list[int]] = field(default_factory=list)
    prepared: list[int] = field(default_factory=list)

    def predict(self, batch: NDArray[np.uint8], abort: Abort) -> Prediction:
        self.batches.append([int(image[0, 0, 0]) for image in batch])
        for _ in range(2000):
            if self.gate.wait(0.005):
                break
            if abort.asked:
                raise InferenceError("aborted")
        else:
            raise AssertionError("the gate stayed shut")
        if 255 in batch:
            raise InferenceError("not finite")
        return Prediction(batch[:, 0].astype(np.float32))

    def prepare(self, value: int, width: int = 2) -> NDArray[np.uint8]:
        self.prepared.append(value)
        return np.full((3, 1, width), value, np.uint8)

    @property
    def computed(self) -> set[int]:
        return {value for batch in self.batches for value in batch}


@dataclass
class Counts:
    """What the batcher tells."""

    wasted: int = 0
    aborted: int = 0
    gone: int = 0
    reasons: list[str] = field(default_factory=list)

    def batch_done(self, images: int, seconds: float, wasted: int) -> None:
        self.wasted += wasted

    def batch_aborted(self, images: int) -> None:
        self.aborted += images

    def refused(self, reason: str, images: int) -> None:
        self.reasons += [reason] * images

    def abandoned(self, images: int) -> None:
        self.gone += images


@dataclass
class Bench:
    """A batcher, its network and what it counted."""

    batcher: Batcher
    network: Network
    counts: Counts

    def ask(
        self, *values: int, client: str = "a", within_s: float = LATER_S, width: int = 2
    ) -> asyncio.Task[list[float]]:
        prepares = [partial(self.network.prepare, value, width) for value in values]

        async def ask() -> list[float]:
            deadline_s = time.monotonic() + within_s
            done = await self.batcher.compute(prepares, client, deadline_s)
            assert all(image.shape[2] == width for image in done.prepared)
            return [float(found.depth[0, 0]) for found in done.predictions]

        return asyncio.get_running_loop().create_task(ask())

    async def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(2000):
            if condition():
                return
            await asyncio.sleep(0.002)
        raise AssertionError("it did not come to that")


def bench(
    scenario: Callable[[Bench], Coroutine[Any, Any, None]],
    *,
    open_gate: bool = True,
    batch_s: float = 0.01,
    **options: Any,
) -> Counts:
    """Run a scenario with a batcher."""

    async def run() -> Counts:
        network, counts = Network(), Counts()
        if open_gate:
            network.gate.set()
        settings = BatchOptions(**{"preparers": 1, **options})
        estimate = Estimate(batch_s, settings.batch, settings.parallel)
        batcher = Batcher(network.predict, settings, estimate, counts)
        try:
            await asyncio.wait_for(scenario(Bench(batcher, network, counts)), 20)
        finally:
            network.gate.set()
            batcher.close()
        return counts

    return asyncio.run(run())

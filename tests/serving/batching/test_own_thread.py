"""Images that are decoded in the thread of their inference, and the batch that waits for one."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt.errors import InferenceError, SourceError
from depthrt_serving.batching.batch import Batch
from depthrt_serving.batching.refusal import RefusedError
from depthrt_serving.batching.work import Item, Work
from helpers.web.batcher_bench import LATER_S, Bench, Network, bench


async def _hold(on: Bench) -> asyncio.Task[list[float]]:
    """A request whose inference waits for the gate."""
    first = on.ask(1)
    await on.until(lambda: on.network.batches == [[1]])
    return first


def test_each_gets_its_own_depth() -> None:
    async def scenario(on: Bench) -> None:
        tasks = [on.ask(n, n + 100, client=f"c{n}") for n in range(20)]
        assert await asyncio.gather(*tasks) == [[n, n + 100] for n in range(20)]

    bench(scenario, preparers=0, parallel=2)


def test_an_image_is_decoded_when_its_inference_begins() -> None:
    async def scenario(on: Bench) -> None:
        tasks = [await _hold(on), *(on.ask(n) for n in range(2, 9))]
        await on.until(lambda: on.batcher.waiting == 7)
        await asyncio.sleep(0.02)
        assert on.network.prepared == [1]
        assert on.batcher.oldest_s >= 0.02
        on.network.gate.set()
        await asyncio.gather(*tasks)
        assert on.network.prepared == list(range(1, 9))

    bench(scenario, preparers=0, open_gate=False)


def test_a_free_thread_takes_the_next_batch_without_the_event_loop() -> None:
    async def scenario(on: Bench) -> None:
        tasks = [await _hold(on), on.ask(2), on.ask(3)]
        await on.until(lambda: on.batcher.waiting == 2)
        on.network.gate.set()
        stop_s = time.monotonic() + 5
        while len(on.network.batches) < 2 and time.monotonic() < stop_s:
            time.sleep(0.001)  # the loop stands still
        time.sleep(0.05)
        assert on.network.batches == [[1], [2]]  # the third one needs the loop
        assert await asyncio.gather(*tasks) == [[1], [2], [3]]
        assert on.batcher.running == 0

    bench(scenario, preparers=0, open_gate=False)


@pytest.mark.parametrize("preparers", [0, 1])
def test_the_image_that_comes_next_leaves_with_its_client(preparers: int) -> None:
    async def scenario(on: Bench) -> None:
        first = await _hold(on)
        following, last = on.ask(2, client="b"), on.ask(3, client="c")
        await on.until(lambda: on.batcher.waiting == 2)
        following.cancel()
        await on.until(following.done)
        assert on.batcher.waiting == 1
        on.network.gate.set()
        assert await asyncio.gather(first, last) == [[1], [3]]
        assert on.network.computed == {1, 3}

    counts = bench(scenario, preparers=preparers, open_gate=False)
    assert (counts.gone, counts.wasted, counts.aborted) == (1, 0, 0)


def test_of_the_batch_that_comes_next_the_others_stay() -> None:
    async def scenario(on: Bench) -> None:
        first = await _hold(on)
        leaving = on.ask(2, client="b")
        staying = [on.ask(n, client=f"c{n}") for n in (3, 4, 5)]
        await on.until(lambda: len(on.network.prepared) == 5)
        await asyncio.sleep(0.02)
        leaving.cancel()
        await on.until(leaving.done)
        on.network.gate.set()
        assert await asyncio.gather(first, *staying) == [[1], [3], [4], [5]]
        assert on.network.batches == [[1], [3, 4], [5]]

    assert bench(scenario, batch=2, open_gate=False).gone == 1


def test_the_image_that_comes_next_is_refused_when_it_becomes_late() -> None:
    async def scenario(on: Bench) -> None:
        first = await _hold(on)
        with pytest.raises(RefusedError, match="after its deadline"):
            await on.ask(2, within_s=0.2)
        on.network.gate.set()
        assert await first == [1]
        assert await on.ask(3) == [3]
        assert on.network.prepared == [1, 3]

    assert bench(scenario, preparers=0, open_gate=False).reasons == ["late"]


def test_a_picture_that_cannot_be_decoded_fails_alone() -> None:
    def broken() -> NDArray[np.uint8]:
        raise SourceError("no picture")

    async def scenario(on: Bench) -> None:
        good = on.ask(1, client="b")
        before_s = on.batcher.estimate.least_s_for(1)
        work = on.batcher.compute(
            [partial(on.network.prepare, 5), broken], "a", time.monotonic() + LATER_S
        )
        with pytest.raises(SourceError, match="no picture"):
            await work
        assert await good == [1]
        assert on.batcher.waiting == 0
        assert on.batcher.estimate.least_s_for(1) <= before_s

    bench(scenario, preparers=0)


def test_an_image_for_which_nobody_waits_is_not_decoded() -> None:
    async def scenario() -> None:
        network = Network()
        work = Work("a", time.monotonic() + LATER_S, asyncio.get_running_loop().create_future())
        batch = Batch([Item(work, partial(network.prepare, 1), time.monotonic())])
        work.future.cancel()
        batch.end_if_unwanted()
        found = batch.infer(network.predict)
        assert [type(one) for one in found] == [InferenceError]
        assert (batch.was_ended, batch.was_decoded, network.prepared) == (True, False, [])

    asyncio.run(scenario())

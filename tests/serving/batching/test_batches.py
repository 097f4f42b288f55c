"""How batches form, and what fails in them."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt.errors import InferenceError, SourceError
from helpers.web.batcher_bench import LATER_S, Bench, bench


def test_each_gets_its_own_depth() -> None:
    async def scenario(on: Bench) -> None:
        tasks = [on.ask(n, n + 100, client=f"c{n}") for n in range(20)]
        assert await asyncio.gather(*tasks) == [[n, n + 100] for n in range(20)]

    bench(scenario, batch=4, parallel=2, preparers=2)


def test_batches_count_images_and_form_across_clients() -> None:
    async def scenario(on: Bench) -> None:
        first = on.ask(1)
        await on.until(lambda: on.network.batches == [[1]])
        tasks = [on.ask(10, 11, 12, client="b"), on.ask(20, client="c"), on.ask(30, client="d")]
        await on.until(lambda: len(on.network.prepared) == 6)
        on.network.gate.set()
        await asyncio.gather(first, *tasks)
        assert on.network.batches == [[1], [10, 11, 20, 30], [12]]

    bench(scenario, open_gate=False, batch=4)


def test_images_of_other_sizes_wait_for_a_batch_of_their_own() -> None:
    async def scenario(on: Bench) -> None:
        first = on.ask(1)
        await on.until(lambda: on.network.batches == [[1]])
        tasks = [on.ask(2), on.ask(3, width=5), on.ask(4)]
        await on.until(lambda: len(on.network.prepared) == 4)
        on.network.gate.set()
        await asyncio.gather(first, *tasks)
        assert on.network.batches == [[1], [2, 4], [3]]

    bench(scenario, open_gate=False, batch=4)


def test_only_so_much_is_decoded_ahead() -> None:
    async def scenario(on: Bench) -> None:
        tasks = [on.ask(n) for n in range(30)]
        await on.until(lambda: len(on.network.prepared) == 5)
        await asyncio.sleep(0.05)
        assert len(on.network.prepared) == 5  # one runs, and the next two batches are ready
        on.network.gate.set()
        await asyncio.gather(*tasks)

    bench(scenario, open_gate=False, batch=2, wait_s=0.0)


def test_a_picture_that_cannot_be_decoded_fails_alone() -> None:
    def broken() -> NDArray[np.uint8]:
        raise SourceError("no picture")

    async def scenario(on: Bench) -> None:
        good = on.ask(1, client="b")
        work = on.batcher.compute(
            [partial(on.network.prepare, 5), broken], "a", time.monotonic() + LATER_S
        )
        with pytest.raises(SourceError, match="no picture"):
            await work
        assert await good == [1]
        assert on.batcher.waiting == 0

    bench(scenario)


def test_an_image_without_depth_fails_alone() -> None:
    async def scenario(on: Bench) -> None:
        first = on.ask(1)
        await on.until(lambda: on.network.batches == [[1]])
        good, bad = on.ask(2, client="b"), on.ask(255, client="c")
        await on.until(lambda: len(on.network.prepared) == 3)
        on.network.gate.set()
        assert await asyncio.gather(first, good) == [[1], [2]]
        with pytest.raises(InferenceError, match="not finite"):
            await bad
        assert on.network.batches == [[1], [2, 255], [2], [255]]

    bench(scenario, open_gate=False, batch=2)


def test_a_lone_image_waits_for_nobody() -> None:
    async def scenario(on: Bench) -> None:
        start_s = time.monotonic()
        assert await on.ask(1) == [1]
        assert time.monotonic() - start_s < 5  # not wait_s

    bench(scenario, batch=4, wait_s=10.0)


def test_a_batch_waits_for_images_that_are_being_decoded() -> None:
    async def scenario(on: Bench) -> None:
        slowly = threading.Event()

        def prepare() -> NDArray[np.uint8]:
            slowly.wait(10)
            return np.full((3, 1, 2), 2, np.uint8)

        later = asyncio.ensure_future(
            on.batcher.compute([prepare], "b", time.monotonic() + LATER_S)
        )
        first = on.ask(1)
        await on.until(lambda: on.network.prepared == [1])
        await asyncio.sleep(0.05)
        assert on.network.batches == []
        slowly.set()
        await asyncio.gather(first, later)
        assert on.network.batches == [[1, 2]]

    bench(scenario, batch=2, preparers=2, wait_s=5.0)

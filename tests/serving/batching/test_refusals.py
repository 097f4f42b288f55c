"""What a batcher refuses, and what it says about coming back."""

from __future__ import annotations

import asyncio
import time

import pytest

from depthrt.errors import UsageError
from depthrt_serving.batching.refusal import RefusedError
from helpers.web.batcher_bench import Bench, bench


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    async def scenario(on: Bench) -> None:
        first = on.ask(0)
        await on.until(lambda: on.network.batches == [[0]])
        tasks = [first, *(on.ask(n) for n in range(1, 5))]
        await on.until(lambda: on.batcher.waiting == 4)
        with pytest.raises(RefusedError) as refused:
            await on.ask(9)
        assert refused.value.reason == "queue_full"
        assert refused.value.retry_after_s == pytest.approx(1 / on.batcher.estimate.rate)
        on.network.gate.set()
        await asyncio.gather(*tasks)
        assert await on.ask(9) == [9]

    assert bench(scenario, open_gate=False, queue_images=4).reasons == ["queue_full"]


def test_more_images_than_may_wait_are_no_overload() -> None:
    async def scenario(on: Bench) -> None:
        with pytest.raises(UsageError, match="5 images at once are too many: at most 4 may wait"):
            await on.ask(1, 2, 3, 4, 5)

    assert bench(scenario, queue_images=4).reasons == []


def test_a_client_with_few_images_displaces_one_of_who_has_many() -> None:
    async def scenario(on: Bench) -> None:
        first = on.ask(0, client="greedy")
        await on.until(lambda: on.network.batches == [[0]])
        greedy = [first, *(on.ask(n, client="greedy") for n in range(1, 8))]
        await on.until(lambda: on.batcher.waiting == 7)
        more = [on.ask(n, client="greedy") for n in (8,)]
        await on.until(lambda: on.batcher.waiting == 8)
        modest = on.ask(100, client="modest")
        with pytest.raises(RefusedError) as refused:
            await more[0]
        assert refused.value.reason == "displaced"
        on.network.gate.set()
        assert await modest == [100]
        await asyncio.gather(*greedy)
        order = [value for batch in on.network.batches for value in batch]
        assert order.index(100) <= 4  # after what was ready, not after all of the other's

    assert bench(scenario, open_gate=False, queue_images=8).reasons == ["displaced"]


def test_what_would_be_late_is_refused_at_once() -> None:
    async def scenario(on: Bench) -> None:
        tasks = [on.ask(n) for n in range(10)]
        await on.until(lambda: on.batcher.waiting == 9)
        with pytest.raises(RefusedError) as refused:
            await on.ask(50, within_s=0.5)  # nine images at ten a second are ahead
        assert refused.value.reason == "late"
        assert refused.value.retry_after_s is not None
        assert 0.4 < refused.value.retry_after_s < 2
        on.network.gate.set()
        await asyncio.gather(*tasks)
        assert 50 not in on.network.prepared

    assert bench(scenario, open_gate=False, batch_s=0.1).reasons == ["late"]


def test_what_becomes_late_is_refused_before_it_is_computed() -> None:
    async def scenario(on: Bench) -> None:
        first = on.ask(1)
        await on.until(lambda: on.network.batches == [[1]])
        second = on.ask(2, within_s=0.2)
        with pytest.raises(RefusedError, match="after its deadline"):
            await second
        on.network.gate.set()
        await first
        assert await on.ask(3) == [3]
        assert on.network.computed == {1, 3}

    assert bench(scenario, open_gate=False).reasons == ["late"]


def test_after_a_hiccup_what_could_be_in_time_is_tried() -> None:
    async def scenario(on: Bench) -> None:
        on.batcher.estimate.add(1, 50.0, time.monotonic(), backlog=False)
        assert on.batcher.estimate.batch_s > 1
        assert await on.ask(1, within_s=1) == [1]
        with pytest.raises(RefusedError, match="s at least, so allow more") as refused:
            await on.ask(1, within_s=1e-6)
        assert refused.value.retry_after_s is None

    assert bench(scenario).reasons == ["late"]


def test_a_model_that_was_loaded_at_a_busy_moment_is_tried_after_a_while() -> None:
    async def scenario(on: Bench) -> None:
        refused = 0
        while True:
            try:
                assert await on.ask(1, within_s=1) == [1]
                break
            except RefusedError:
                refused += 1
        assert 1 <= refused <= 30

    bench(scenario, batch_s=10.0)


def test_who_is_refused_comes_back_in_turn() -> None:
    async def scenario(on: Bench) -> None:
        first = on.ask(0)
        await on.until(lambda: on.network.batches == [[0]])
        tasks = [first, *(on.ask(n) for n in range(1, 5))]
        await on.until(lambda: on.batcher.waiting == 4)
        waits_s = []
        for _ in range(19):
            with pytest.raises(RefusedError) as refused:
                await on.ask(9)
            assert refused.value.retry_after_s is not None
            waits_s.append(refused.value.retry_after_s)
        # At one in ten seconds: each a place later, and at most four full queues of four later.
        expected = [10.0 * min(place, 17) for place in range(1, 20)]
        assert waits_s == pytest.approx(expected, abs=5)
        on.network.gate.set()
        await asyncio.gather(*tasks)

    bench(scenario, open_gate=False, queue_images=4, batch_s=10.0)

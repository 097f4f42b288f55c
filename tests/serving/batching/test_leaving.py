"""What becomes of images whose clients left, or for whom it is too late."""

from __future__ import annotations

import asyncio

import pytest

from depthrt_serving.batching.refusal import RefusedError
from helpers.web.batcher_bench import LATER_S, Bench, bench


def test_a_client_that_leaves_takes_its_images_with_it() -> None:
    async def scenario(on: Bench) -> None:
        first = on.ask(1)
        await on.until(lambda: on.network.batches == [[1]])
        leaving = on.ask(2, 3, 4, 5, 6, client="b")
        staying = on.ask(7, client="c")
        await on.until(lambda: on.batcher.waiting == 6)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        on.network.gate.set()
        assert await asyncio.gather(first, staying) == [[1], [7]]
        assert on.network.computed == {1, 7}
        assert on.batcher.waiting == 0

    counts = bench(scenario, open_gate=False)
    assert (counts.gone, counts.wasted, counts.reasons) == (5, 0, [])


def test_an_inference_ends_when_all_its_clients_left() -> None:
    async def scenario(on: Bench) -> None:
        first = on.ask(1)
        await on.until(lambda: on.network.batches == [[1]])
        both = [on.ask(2, client="b"), on.ask(3, client="c")]
        await on.until(lambda: on.batcher.waiting == 2)
        first.cancel()
        await on.until(lambda: on.network.batches == [[1], [2, 3]])  # the gate is still shut
        both[0].cancel()
        await asyncio.sleep(0.05)
        assert on.batcher.running == 1  # one of them waits
        on.network.gate.set()
        assert await both[1] == [3]

    counts = bench(scenario, open_gate=False, batch=2)
    assert (counts.gone, counts.aborted, counts.wasted) == (0, 1, 1)


def test_an_inference_ends_when_it_is_too_late_for_all() -> None:
    async def scenario(on: Bench) -> None:
        late = [on.ask(1, 2, within_s=0.2), on.ask(3, within_s=LATER_S, client="b")]
        await on.until(lambda: on.network.batches == [[1]])
        with pytest.raises(RefusedError, match="after its deadline"):
            await late[0]
        await on.until(lambda: on.network.batches == [[1], [3]])
        on.network.gate.set()
        assert await late[1] == [3]

    counts = bench(scenario, open_gate=False)
    assert (counts.aborted, counts.wasted, counts.reasons) == (1, 0, ["late", "late"])

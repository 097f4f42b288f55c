"""The batcher by itself, with real threads and networks that wait as they are told."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt.errors import InferenceError, SourceError, UsageError
from depthrt.model.inference import Abort, Prediction
from depthrt_serving.batching.batcher import Batcher
from depthrt_serving.batching.estimate import Estimate
from depthrt_serving.batching.options import BatchOptions
from depthrt_serving.batching.refusal import RefusedError

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

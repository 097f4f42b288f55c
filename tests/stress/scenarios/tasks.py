"""Streams in asyncio, in many threads, in forked and in spawned processes."""

from __future__ import annotations

import asyncio
import random
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import depthrt
from stress.case import Case, WrongError, expect, leave, scenario
from stress.kit import Given, begin, counting, take
from stress.scripts import expect_clean, run_script


@scenario(weight=2)
def in_asyncio(case: Case) -> None:
    """Tasks read streams by ``to_thread`` and are cancelled at a random moment."""
    asyncio.run(_cancelled_tasks(case))


async def _cancelled_tasks(case: Case) -> None:
    async def read(results: Any, given: Given) -> None:
        count = 0
        try:
            while True:
                result = await asyncio.to_thread(next, results, None)
                if result is None:
                    return
                index = count if given.indices is None else given.indices[count]
                case.kit.check(result, given.origin, index)
                count += 1
        finally:
            results.stop()

    pairs = []
    for _ in range(case.rng.randint(1, 3)):
        given = case.kit.source(case.rng)
        pairs.append((begin(case, given), given))
    tasks = [asyncio.create_task(read(*pair)) for pair in pairs]
    await asyncio.sleep(case.rng.random() * 0.4)
    start_s = time.monotonic()
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, WrongError):
            raise outcome
    case.ended("cancelling", time.monotonic() - start_s)
    for results, _ in pairs:
        for _ in range(100):
            try:
                await asyncio.to_thread(results.close)
            except ValueError:  # the thread of a cancelled task still reads it
                await asyncio.sleep(0.02)
            else:
                break
        else:
            raise WrongError("a cancelled stream cannot be closed")


@scenario()
def timed_out_in_asyncio(case: Case) -> None:
    """A stream over a silent source is given a time, and stopped after it."""
    release = threading.Event()

    def images() -> Iterator[Any]:
        yield from counting(5)
        release.wait(30)

    async def read() -> None:
        results = begin(case, Given(images(), "numbered", None))
        job = asyncio.gather(asyncio.to_thread(lambda: sum(1 for _ in results)))
        await asyncio.sleep(0.3)
        start_s = time.monotonic()
        results.stop()
        (count,) = await job
        case.ended("stopping in asyncio", time.monotonic() - start_s)
        expect(count <= 5, f"{count} results of 5")
        await asyncio.to_thread(results.close)

    try:
        asyncio.run(asyncio.wait_for(read(), 20))
    finally:
        release.set()


@scenario(weight=2, limit_s=40)
def in_many_threads(case: Case) -> None:
    """Threads that share one model read, break and close streams of their own."""
    model = case.kit.model(case.rng)
    seeds = [case.rng.random() for _ in range(case.rng.randint(2, 6))]

    def work(seed: float) -> None:
        rng = random.Random(seed)
        for _ in range(rng.randint(1, 3)):
            given = case.kit.source(rng)
            results = depthrt.stream(given.source, model, selection=given.selection)
            most = None if given.indices and rng.random() < 0.5 else rng.randint(0, 25)
            take(case.kit, results, given, most)
            start_s = time.monotonic()
            leave(results, rng.choice(["close", "stop", ""]))
            del results
            case.ended("leaving in one of many threads", time.monotonic() - start_s)

    with ThreadPoolExecutor(len(seeds), "stress") as pool:
        list(pool.map(work, seeds))


OPENERS = (
    "depthrt.stream('demo', model)",
    "depthrt.stream(images(), model)",
    "depthrt.stream(KIT + '/long.mp4', model)",
    "depthrt.stream_many({'a': 'demo', 'b': images(), 'c': KIT + '/short.mp4'}, model)",
)
MODELS = (
    "depthrt.DepthModel.load(KIT + '/slow.onnx')",
    "depthrt.DepthModel.load(KIT + '/tiny.onnx', objective='throughput')",
    "depthrt.DepthModel.load(objective='live')",
    "depthrt.DepthModel.load(objective='throughput')",
)


@scenario(weight=2, limit_s=60)
def forked(case: Case) -> None:
    """A child is forked while a stream is open, and leaves it in any way; the parent goes on."""
    acts = ("pass", "results.stop()", "results.close()", "del results; gc.collect()", "os._exit(0)",
            "sys.exit(0)", "next(results, None)", "list(itertools.islice(results, 3))")  # fmt: skip
    body = textwrap.dedent(f"""
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads
        model = {case.rng.choice(MODELS)}
        results = {case.rng.choice(OPENERS)}
        for _ in range({case.rng.randint(0, 6)}):
            next(results)
        child = os.fork()
        if child == 0:
            try:
                {case.rng.choice(acts)}
            except depthrt.DepthrtError:
                pass
        else:
            end_s = time.monotonic() + 10
            while os.waitpid(child, os.WNOHANG) == (0, 0):
                if time.monotonic() > end_s:
                    os.kill(child, 9)
                    os.waitpid(child, 0)
                    said("hung")
                    break
                time.sleep(0.01)
            for _ in range(5):
                next(results)
            {case.rng.choice(["results.close()", "del results", "pass"])}
            said("end")
    """)
    ended = run_script(case, body)
    expect(ended.word_s("hung") is None, f"the forked child hangs {ended.err[-300:]}")
    expect_clean(ended)
    at_s = ended.word_s("end")
    expect(at_s is not None, "the parent did not come to its end")
    case.ended("the end beside a fork", ended.at_s - float(at_s or 0.0))


@scenario(limit_s=80)
def spawned(case: Case) -> None:
    """Spawned processes read streams of their own; some leave them open, one is ended early."""
    leaves = case.rng.choice(["close", "open", "stop"])
    body = textwrap.dedent(f"""
        import multiprocessing
        def work(number, many):
            model = depthrt.DepthModel.load(KIT + "/tiny.onnx")
            global results
            results = depthrt.stream("demo" if number % 2 else images(), model)
            taken = [result.frame.index for result in itertools.islice(results, many)]
            if {leaves!r} != "open":
                getattr(results, {leaves!r})()
            if taken != list(range(many)):
                sys.exit(7)
            if many > 50:
                time.sleep(30)
        if __name__ == "__main__":
            context = multiprocessing.get_context({case.rng.choice(["spawn", "forkserver"])!r})
            mine = depthrt.stream("demo", depthrt.DepthModel.load(KIT + "/tiny.onnx"))
            next(mine)
            jobs = [context.Process(target=work, args=(k, 5 + k)) for k in range(2)]
            early = context.Process(target=work, args=(3, 60))
            for job in [*jobs, early]:
                job.start()
            time.sleep({case.rng.random() * 2:.2f})
            early.terminate()
            for job in [*jobs, early]:
                job.join(20)
            print([job.exitcode for job in jobs], early.exitcode, next(mine).frame.index)
            said("end")
    """)
    ended = run_script(case, body, hangs_s=60)
    expect_clean(ended)
    expect(ended.out.startswith("[0, 0] -15 1"), f"the processes say {ended.out.strip()}")
    at_s = ended.word_s("end")
    case.ended("the end beside spawned processes", ended.at_s - float(at_s or 0.0))


@scenario(limit_s=60)
def cancelled_event_loop(case: Case) -> None:
    """An event loop ends while a task still reads a stream in a thread."""

    async def main() -> None:
        given = Given(counting(), "numbered", None)
        results = begin(case, given)
        job = asyncio.create_task(asyncio.to_thread(take, case.kit, results, given))
        await asyncio.sleep(case.rng.random() * 0.3)
        results.stop()
        with suppress(asyncio.TimeoutError, WrongError):
            await asyncio.wait_for(job, 0.001)

    start_s = time.monotonic()
    asyncio.run(main())
    case.ended("the end of an event loop", time.monotonic() - start_s)

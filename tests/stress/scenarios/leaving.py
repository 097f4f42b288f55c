"""Streams that are left: closed, stopped, dropped, kept by an exception or a cycle."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from contextlib import closing, suppress
from typing import Any

import depthrt
from stress.case import Case, Job, WrongError, expect, leave, scenario
from stress.kit import begin, counting, take
from stress.state import Timer, rss_mb


@scenario(weight=3)
def whole(case: Case) -> None:
    """Read a recording to its end."""
    given = case.kit.recording(case.rng)
    results = begin(case, given)
    take(case.kit, results, given)
    with case.ending("closing what has ended"):
        results.close()
    expect(next(results, None) is None, "a stream that has ended gives a result")


@scenario(weight=3)
def abandoned(case: Case) -> None:
    """Drop several streams after a few results, or before the first."""
    for _ in range(case.rng.randint(1, 6)):
        given = case.kit.source(case.rng)
        results = begin(case, given)
        most = case.rng.randint(0, 30)
        take(case.kit, results, given, most)
        case.nap()
        with case.ending("dropping a stream"):
            del results


@scenario(weight=2)
def closed(case: Case) -> None:
    """Close a stream at any moment, and once more."""
    given = case.kit.source(case.rng)
    results = begin(case, given)
    take(case.kit, results, given, case.rng.randint(0, 40))
    case.nap()
    with case.ending("closing"):
        results.close()
    with case.ending("closing again"):
        results.close()
    expect(next(results, None) is None, "a closed stream gives a result")


@scenario()
def in_a_with_block(case: Case) -> None:
    """Leave a ``with`` block, in order or by an error."""
    given = case.kit.source(case.rng)
    results = begin(case, given)
    manager: Any = results if hasattr(results, "__enter__") else closing(results)
    with suppress(ZeroDivisionError), manager as inside:
        take(case.kit, inside, given, case.rng.randint(0, 20))
        start_s = time.monotonic()
        if case.rng.random() < 0.5:
            raise ZeroDivisionError
    case.ended("leaving the block", time.monotonic() - start_s)
    expect(next(results, None) is None, "a stream gives results after its block")


@scenario(weight=2)
def closed_by_another(case: Case) -> None:
    """Close a stream from another thread while it is read."""
    given = case.kit.source(case.rng)
    results = begin(case, given)
    reader = Job(lambda: take(case.kit, results, given))
    case.nap(0.4)
    with case.ending("closing from another thread"), suppress(ValueError):
        results.close()  # a generator that is being read may refuse
    results.stop()
    with case.ending("the end of the reader"), suppress(WrongError):
        _cut_short(reader, case)
    Job(results.close).result()


def _cut_short(reader: Job, case: Case) -> None:
    """Wait for a reader whose stream may have ended early: fewer frames are right."""
    try:
        reader.result()
    except ValueError as error:  # what a generator says to a reader while another closes it
        expect("already executing" in str(error), f"raised {error!r}")
    except WrongError as wrong:
        if "frames came" not in str(wrong) and "has no end" not in str(wrong):
            raise


@scenario(weight=3)
def stopped_by_others(case: Case) -> None:
    """Stop a stream from several threads at once while it is read."""
    given = case.kit.source(case.rng)
    results = begin(case, given)
    took_s: list[float] = []

    def stop() -> None:
        time.sleep(case.rng.random() * 0.3)
        start_s = time.monotonic()
        results.stop()
        took_s.append(time.monotonic() - start_s)

    reader = Job(lambda: take(case.kit, results, given))
    stoppers = [Job(stop) for _ in range(case.rng.randint(1, 4))]
    for stopper in stoppers:
        stopper.result()
    with case.ending("the end of a stopped stream"):
        _cut_short(reader, case)
    expect(max(took_s) < 1.0, f"stop() blocked for {max(took_s):.1f} s")
    with case.ending("closing"):
        results.close()


class _Keeper:
    """Keeps the exception that ended it, whose traceback keeps the frame with the stream."""

    def __init__(self, case: Case) -> None:
        self.error: BaseException | None = None
        self._case = case

    def run(self, most: int) -> None:
        """Read some and fail."""
        given = self._case.kit.source(self._case.rng)
        model = self._case.rng.choice([self._case.kit.model, self._case.kit.slow_model])
        results = begin(self._case, given, model=model(self._case.rng))
        try:
            take(self._case.kit, results, given, most)
            raise ZeroDivisionError("a bad frame")
        except ZeroDivisionError as error:
            self.error = error


@scenario(weight=3)
def kept_by_its_exception(case: Case) -> None:
    """An exception keeps its traceback, and that the stream: it is left to the collector."""
    usual = gc.get_threshold()
    gc.set_threshold(case.rng.choice([5, 50, 700]), 2, 2)  # threads of ours collect, too
    try:
        for _ in range(case.rng.randint(2, 8)):
            keeper = _Keeper(case)
            keeper.run(case.rng.randint(0, 10))
            del keeper
            case.nap(0.4)
            if case.rng.random() < 0.3:
                with case.ending("collecting"):
                    gc.collect()
    finally:
        gc.set_threshold(*usual)


class _Ring:
    """A cycle that holds a stream."""

    def __init__(self, results: Any) -> None:
        self.results, self.itself = results, self


class _Closing(_Ring):
    """A cycle whose finaliser closes the stream."""

    def __del__(self) -> None:
        self.results.close()


@scenario(weight=2, limit_s=40)
def collected_anywhere(case: Case) -> None:
    """Cycles with open streams are collected in whichever thread allocates next."""
    usual = gc.get_threshold()
    gc.set_threshold(50, 5, 5)
    try:
        makers = [Job(lambda: _make_rings(case)) for _ in range(case.rng.randint(1, 3))]
        for maker in makers:
            maker.result(30)
        with case.ending("collecting"):
            gc.collect()
    finally:
        gc.set_threshold(*usual)


def _make_rings(case: Case) -> None:
    for _ in range(3):
        given = case.kit.source(case.rng)
        results = begin(case, given)
        take(case.kit, results, given, case.rng.randint(0, 10))
        ring = case.rng.choice([_Ring, _Closing])
        ring(results)
        del results
        [[number] for number in range(500)]


@scenario()
def an_error_thrown_in(case: Case) -> None:
    """Throw an error into a stream, as into any generator."""
    given = case.kit.source(case.rng)
    results = begin(case, given)
    take(case.kit, results, given, case.rng.randint(0, 8))
    kind = case.rng.choice([ValueError, KeyboardInterrupt, GeneratorExit, MemoryError])
    with case.ending("throwing"):
        try:
            results.throw(kind("thrown"))
        except kind:
            pass
        else:
            raise WrongError("an error that was thrown in did not come out")
    expect(next(results, None) is None, "a stream goes on after an error")
    results.close()


@scenario()
def handed_on(case: Case) -> None:
    """One thread begins a stream, another goes on, a third closes it."""
    given = case.kit.source(case.rng)
    results = begin(case, given)
    enough = 5 if given.indices is None else min(5, len(given.indices))
    first = Job(lambda: take(case.kit, results, given, enough)).result()
    most = case.rng.randint(1, 20)
    Job(lambda: take(case.kit, results, given, most, first=int(str(first)))).result()
    with case.ending("closing in a third thread"):
        Job(results.close).result()


@scenario(weight=2)
def interrupted(case: Case) -> None:
    """Ctrl-C at a random moment of reading, in the thread that reads."""
    given = case.kit.source(case.rng)
    results = begin(case, given, model=case.kit.slow_model(case.rng))
    came_s: list[float] = []
    with Timer(case.rng.random() * 0.6, lambda: _interrupt(came_s)):
        try:
            for result in results:
                expect(result.frame is not None, "no frame")
            time.sleep(5)
            raise WrongError("Ctrl-C did not come")
        except KeyboardInterrupt:
            case.ended("Ctrl-C", time.monotonic() - came_s[0])
    with case.ending("closing after Ctrl-C"):
        results.close()


def _interrupt(came_s: list[float]) -> None:
    came_s.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)


@scenario(limit_s=60)
def over_and_over(case: Case) -> None:
    """Dozens of streams that are left in all ways: memory and native threads stay bounded."""

    def go_through(times: int) -> None:
        for _ in range(times):
            results = depthrt.stream(counting(), case.kit.model(case.rng))
            next(results)
            leave(results, case.rng.choice(["close", "stop", ""]))
            del results
        gc.collect()

    def native() -> int:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208

    go_through(15)
    before_mb, tasks = rss_mb(), native()
    go_through(30)
    time.sleep(0.5)
    grown_mb = rss_mb() - before_mb
    expect(grown_mb < 80, f"30 streams took {grown_mb:.0f} MB more")
    expect(native() <= tasks + 4, f"{native() - tasks} native threads more")
    names = [t.name for t in threading.enumerate() if t.name.startswith("depthrt-")]
    expect(not names, f"threads left: {names}")

"""Results handed to a callback by ``depthrt.start``."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import depthrt
from stress.case import Case, Job, WrongError, expect, scenario
from stress.kit import Given, begin, counting, take


class _Counter:
    """A callback that checks what it is given, and acts at one of the results."""

    def __init__(self, case: Case, given: Given, at: int = -1, act: Any = None) -> None:
        self.count = 0
        self.errors: list[BaseException] = []
        self.after = threading.Event()
        self._case, self._given, self._at, self._act = case, given, at, act

    def __call__(self, result: depthrt.Result) -> Any:
        """Check one result."""
        indices = self._given.indices
        index = self.count if indices is None else indices[self.count]
        try:
            self._case.kit.check(result, self._given.origin, index)
        except WrongError as wrong:
            self.errors.append(wrong)
            raise
        if self.after.is_set():
            self.errors.append(WrongError("the callback was called after stop()"))
        self.count += 1
        if self.count - 1 == self._at and self._act is not None:
            return self._act()
        return None


def _join(case: Case, running: depthrt.Background, what: str) -> None:
    with case.ending(what):
        expect(running.join(10), f"{what}: still running after 10 s")


@scenario(weight=2)
def callback_to_the_end(case: Case) -> None:
    """A callback is given every frame."""
    given = case.kit.recording(case.rng)
    counter = _Counter(case, given)
    running = depthrt.start(begin(case, given), counter)
    expect(running.join(25), "still running")
    assert given.indices is not None
    expect(counter.count == len(given.indices), f"{counter.count} of {len(given.indices)} frames")


@scenario(weight=2)
def callback_that_raises(case: Case) -> None:
    """What a callback raises ends the run and comes out of ``join``."""
    given = Given(counting(), "numbered", None)
    kind = case.rng.choice([ValueError, MemoryError, KeyboardInterrupt, SystemExit])

    def fail() -> None:
        raise kind("raised by the callback")

    counter = _Counter(case, given, case.rng.randint(0, 20), fail)
    running = depthrt.start(begin(case, given), counter)
    try:
        running.join(10)
    except kind as error:
        expect("raised by the callback" in str(error), f"raised {error!r}")
    else:
        raise WrongError("the callback's error was lost")
    expect(running.join(1), "still running")


@scenario(weight=2)
def callback_that_stops(case: Case) -> None:
    """A callback stops, joins or closes its own run from within."""
    given = Given(counting(), "numbered", None)
    results = begin(case, given)
    running: list[depthrt.Background] = []
    begun = threading.Event()

    def stop() -> Any:
        begun.wait(5)
        how = case.rng.choice(["stop", "join", "close", "false"])
        if how == "false":
            return False
        if how == "close":
            with suppress(ValueError):  # a generator that is being read may refuse
                results.close()
        running[0].stop()
        if how == "join":
            running[0].join(5)
        return None

    counter = _Counter(case, given, case.rng.randint(0, 20), stop)
    running.append(depthrt.start(results, counter))
    begun.set()
    deadline_s = time.monotonic() + 10
    while running[0].is_running and time.monotonic() < deadline_s:
        time.sleep(0.005)
    _join(case, running[0], "a run that stopped itself")
    running.clear()


@scenario(weight=2)
def stopped_from_outside(case: Case) -> None:
    """A run is stopped by several threads; its callback is not called again."""
    blocked = threading.Event()

    def images() -> Iterator[Any]:
        yield from counting(case.rng.randint(1, 30))
        blocked.wait(30)

    given = Given(images() if case.rng.random() < 0.5 else counting(), "numbered", None)
    counter = _Counter(case, given)
    try:
        running = depthrt.start(begin(case, given), counter)
        case.nap(0.4)
        for stopper in [Job(running.stop) for _ in range(3)]:
            with case.ending("stop()", 1.0):
                stopper.result()
        time.sleep(0.05)  # one call may be under way
        counter.after.set()
        _join(case, running, "a run that was stopped")
    finally:
        blocked.set()
    expect(not counter.errors, f"{counter.errors}")


@scenario()
def in_a_block(case: Case) -> None:
    """Leaving the ``with`` block of a run stops it, also by an error."""
    given = case.kit.source(case.rng)
    counter = _Counter(case, given)
    start_s = time.monotonic()
    with suppress(ZeroDivisionError), depthrt.start(begin(case, given), counter):
        case.nap()
        start_s = time.monotonic()
        if case.rng.random() < 0.5:
            raise ZeroDivisionError
    case.ended("leaving the block of a run", time.monotonic() - start_s)
    expect(not counter.errors, f"{counter.errors}")


@scenario()
def run_that_is_dropped(case: Case) -> None:
    """Nobody keeps a run: it goes on to its end."""
    given = case.kit.recording(case.rng)
    assert given.indices is not None
    counter = _Counter(case, given)
    depthrt.start(begin(case, given), counter)
    gc.collect()
    deadline_s = time.monotonic() + 20
    while counter.count < len(given.indices) and time.monotonic() < deadline_s:
        expect(not counter.errors, f"{counter.errors}")
        time.sleep(0.01)
    expect(counter.count == len(given.indices), f"{counter.count} of {len(given.indices)} frames")


@scenario()
def callback_over_many(case: Case) -> None:
    """A run over several sources, some of which fail."""

    def bad() -> Iterator[Any]:
        yield from counting(case.rng.randint(1, 5))
        raise MemoryError("raised by the source")

    told: list[str] = []
    counts = {"bad": 0, "good": 0}

    def count(result: depthrt.Result) -> None:
        origin = "numbered" if result.frame.stream == "bad" else "short.mp4"
        case.kit.check(result, origin, counts[result.frame.stream])
        counts[result.frame.stream] += 1

    results = depthrt.stream_many(
        {"bad": bad(), "good": case.kit.clip("short.mp4")},
        case.kit.model(case.rng),
        on_failure=lambda name, error: told.append(name),
    )
    expect(depthrt.start(results, count).join(20), "still running")
    expect(told == ["bad"] and counts["good"] == 25, f"{told}, {counts}")


@scenario()
def a_stream_in_a_callback(case: Case) -> None:
    """A callback reads another stream, whole or in part."""
    given = Given(counting(12), "numbered", tuple(range(12)))

    def inner() -> None:
        other = case.kit.source(case.rng)
        results = begin(case, other)
        take(case.kit, results, other, 5 if other.indices is None else None)

    counter = _Counter(case, given, case.rng.randint(0, 11), inner)
    running = depthrt.start(begin(case, given), counter)
    expect(running.join(25), "still running")
    expect(counter.count == 12, f"{counter.count} of 12 frames")

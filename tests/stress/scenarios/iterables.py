"""Sources of the caller's own: blocked, slow, nested, with one buffer for all pictures."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import depthrt
from stress.case import Case, Job, WrongError, expect, leave, scenario
from stress.kit import NUMBERED_SIZE, Given, begin, counting, numbered, options, take
from stress.state import Timer


class _Blocked:
    """Numbered pictures, then silence until it is released."""

    def __init__(self, count: int) -> None:
        self.silent, self.release = threading.Event(), threading.Event()
        self._count = count

    def __iter__(self) -> Iterator[Any]:
        yield from counting(self._count)
        self.silent.set()
        self.release.wait(60)


@scenario(weight=3)
def blocked_and_stopped(case: Case) -> None:
    """A source that never speaks again is stopped, closed or dropped from another thread."""
    blocked = _Blocked(case.rng.randint(1, 40))
    results = begin(case, Given(blocked, "numbered", None))

    def read() -> None:
        for number, result in enumerate(results):
            case.kit.check(result, "numbered", number)

    try:
        reader = Job(read)
        blocked.silent.wait(10)
        case.nap()
        with case.ending("stopping a blocked source"):
            results.stop()
            reader.result()
        with case.ending("closing a blocked source"):
            results.close()
    finally:
        blocked.release.set()


@scenario(weight=2)
def blocked_and_interrupted(case: Case) -> None:
    """Ctrl-C while the source is silent takes effect at once."""
    blocked = _Blocked(case.rng.randint(1, 20))
    results = begin(case, Given(blocked, "numbered", None))
    came_s: list[float] = []

    def interrupt() -> None:
        blocked.silent.wait(10)
        time.sleep(0.2)
        came_s.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    free = threading.Timer(15, blocked.release.set)
    free.daemon = True
    free.start()
    try:
        with Timer(0.0, interrupt):
            try:
                for number, result in enumerate(results):
                    case.kit.check(result, "numbered", number)
                time.sleep(1)
            except KeyboardInterrupt:
                case.ended("Ctrl-C at a blocked source", time.monotonic() - came_s[0])
            else:
                raise WrongError("Ctrl-C did not come")
        with case.ending("closing a blocked source"):
            results.close()
    finally:
        blocked.release.set()
        free.cancel()
        free.join()


@scenario()
def blocked_and_dropped(case: Case) -> None:
    """A stream over a source that never speaks again is closed or dropped by its reader."""
    count = case.rng.randint(20, 80)
    blocked = _Blocked(count)
    results = begin(case, Given(blocked, "numbered", None))
    try:
        for number in range(3):
            case.kit.check(next(results), "numbered", number)
        blocked.silent.wait(0.5)
        with case.ending("leaving a blocked source"):
            leave(results, case.rng.choice(["close", ""]))
            del results
    finally:
        blocked.release.set()


@scenario(weight=2)
def one_buffer(case: Case) -> None:
    """A source that fills one buffer again and again: results have their own pictures."""
    count = case.rng.randint(2, 80)

    def images() -> Iterator[Any]:
        buffer = np.empty((*NUMBERED_SIZE, 3), np.uint8)
        for number in range(count):
            buffer[:] = numbered(number)
            yield buffer
            buffer[:] = 255

    kept: list[Any] = []
    for result in depthrt.stream(images(), case.kit.model(case.rng), **options(case.rng)):
        case.kit.check(result, "numbered", len(kept))
        kept.append(result)
    for number, result in enumerate(kept):
        case.kit.check(result, "numbered", number)
    expect(len(kept) == count, f"{len(kept)} results of {count}")


@scenario()
def one_buffer_each(case: Case) -> None:
    """Several such sources in ``stream_many``."""

    def images(count: int) -> Iterator[Any]:
        buffer = np.empty((*NUMBERED_SIZE, 3), np.uint8)
        for number in range(count):
            np.copyto(buffer, numbered(number))
            yield buffer

    counts = {f"s{k}": case.rng.randint(1, 40) for k in range(3)}
    seen = dict.fromkeys(counts, 0)
    kept: list[Any] = []
    results = depthrt.stream_many(
        {name: images(count) for name, count in counts.items()}, case.kit.model(case.rng)
    )
    for result in results:
        kept.append((result, seen[result.frame.stream]))
        seen[result.frame.stream] += 1
    expect(seen == counts, f"{seen} results of {counts}")
    for result, number in kept:
        case.kit.check(result, "numbered", number)


@scenario(weight=2)
def nested(case: Case) -> None:
    """A source reads another stream; the outer one is read to its end, closed or dropped."""
    inner_given = case.kit.source(case.rng)
    while inner_given.origin != "numbered":
        inner_given = case.kit.source(case.rng)
    finished = threading.Event()

    def images() -> Iterator[Any]:
        inner = begin(case, inner_given)
        try:
            for result in inner:
                yield np.array(result.frame.pixels)
        finally:
            finished.set()

    outer_given = Given(images(), "numbered", inner_given.indices)
    outer = begin(case, outer_given)
    endless = inner_given.indices is None
    most = case.rng.randint(0, 40) if endless or case.rng.random() < 0.5 else None
    take(case.kit, outer, outer_given, most)
    with case.ending("leaving a nested stream"):
        leave(outer, case.rng.choice(["close", ""]))
        del outer, outer_given
    expect(finished.wait(3), "the inner stream was not left")


@scenario()
def finally_runs(case: Case) -> None:
    """The caller's generator is closed when its stream is."""
    left = threading.Event()

    def images() -> Iterator[Any]:
        try:
            yield from counting()
        finally:
            left.set()

    results = begin(case, Given(images(), "numbered", None))
    for number in range(case.rng.randint(1, 20)):
        case.kit.check(next(results), "numbered", number)
    with case.ending("closing"):
        results.close()
    expect(left.wait(3), "the generator of the caller was not closed")


@scenario()
def stuttering(case: Case) -> None:
    """A source that pauses at random loses nothing."""
    count = case.rng.randint(1, 40)

    def images() -> Iterator[Any]:
        for number in range(count):
            time.sleep(case.rng.random() * 0.03)
            yield numbered(number)

    given = Given(images(), "numbered", tuple(range(count)))
    results = begin(case, given)
    with case.ending("closing"):
        take(case.kit, results, given, case.rng.choice([None, 5 if count >= 5 else None]))
        results.close()


@scenario()
def blocked_at_the_first(case: Case) -> None:
    """Ctrl-C while ``stream`` itself waits for a source's first picture."""
    release = threading.Event()

    class Silent:
        def __iter__(self) -> Iterator[Any]:
            release.wait(15)
            return iter(counting(3))

    came_s: list[float] = []

    def interrupt() -> None:
        came_s.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    many = case.rng.random() < 0.5
    try:
        with Timer(0.3, interrupt):
            try:
                model = case.kit.model(case.rng)
                if many:
                    for _ in depthrt.stream_many([Silent(), case.kit.clip("short.mp4")], model):
                        pass
                else:
                    for _ in depthrt.stream(Silent(), model):
                        pass
                time.sleep(1)
            except KeyboardInterrupt:
                case.ended("Ctrl-C while a source opens", time.monotonic() - came_s[0])
            else:
                raise WrongError("Ctrl-C did not come")
    finally:
        release.set()

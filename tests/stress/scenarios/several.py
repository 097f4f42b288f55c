"""Several streams at once, and sources that fail in every way and at every point."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

import depthrt
from depthrt.sources.base import Losses
from stress.case import Case, Job, WrongError, expect, leave, scenario
from stress.kit import FRAMES, Given, begin, counting, numbered, options, take

SHORT = "short.mp4"


class _Odd(BaseException):
    """What nobody expects: neither an Exception nor one of Python's own."""


ERRORS: tuple[type[BaseException], ...] = (
    ValueError, MemoryError, TypeError, OSError, RuntimeError, KeyError, AssertionError, _Odd,
    KeyboardInterrupt, SystemExit, RecursionError,
)  # fmt: skip


class _Failing:
    """An iterable of numbered pictures that fails at ``iter()``, the first, or a later picture."""

    def __init__(self, error: BaseException, at: int) -> None:
        self.error, self.at = error, at

    def __iter__(self) -> Iterator[Any]:
        if self.at < 0:
            raise self.error
        return self._images()

    def _images(self) -> Iterator[Any]:
        yield from (numbered(k) for k in range(self.at))
        raise self.error


class _FailingSource:
    """An opened source of the user's own kind that fails."""

    def __init__(self, error: BaseException, at: int) -> None:
        self.error, self.at = error, at
        self.info = depthrt.SourceInfo(name="own", size=(48, 64))
        self.losses = Losses()

    def frames(self) -> Iterator[depthrt.Frame]:
        """Some frames, then the error."""
        for index in range(max(0, self.at)):
            yield depthrt.Frame(numbered(index), index, Fraction(index, 25), "own")
        raise self.error


def _bad_pictures(at: int) -> Iterator[Any]:
    yield from (numbered(k) for k in range(at))
    yield np.zeros((4, 4), np.float64)


@scenario(weight=2)
def side_by_side(case: Case) -> None:
    """Several streams read in turns by one thread; each is left in its own way."""
    pairs = []
    for _ in range(case.rng.randint(2, 4)):
        given = case.kit.source(case.rng)
        pairs.append((given, begin(case, given)))
    done = [0] * len(pairs)
    for _ in range(case.rng.randint(3, 10)):
        which = case.rng.randrange(len(pairs))
        given, results = pairs[which]
        if given.indices is None or done[which] + 4 <= len(given.indices):
            done[which] += take(case.kit, results, given, 4, first=done[which])
    case.rng.shuffle(pairs)
    while pairs:
        given, results = pairs.pop()
        with case.ending("leaving one of several"):
            leave(results, case.rng.choice(["close", "stop", ""]))
            del results


@scenario(weight=3)
def many_with_failures(case: Case) -> None:
    """Sources of ``stream_many`` that raise anything anywhere end alone."""
    sources: dict[str, Any] = {}
    right: dict[str, Given] = {}
    failing: dict[str, int] = {}
    for number in range(case.rng.randint(1, 3)):
        name = f"good{number}"
        given = case.kit.recording(case.rng)
        while given.selection is not None:
            given = case.kit.recording(case.rng)
        sources[name], right[name] = given.source, given
    errors: dict[str, type[BaseException]] = {}
    for number in range(case.rng.randint(1, 3)):
        name = f"bad{number}"
        failing[name] = case.rng.choice([-1, 0, 1, 5, 30])
        sources[name] = _bad_source(case, name, failing[name], errors)
    order = list(sources)
    case.rng.shuffle(order)
    told: list[str] = []
    counts = dict.fromkeys(order, 0)
    try:
        results = depthrt.stream_many(
            {name: sources[name] for name in order},
            case.kit.model(case.rng),
            on_failure=lambda name, error: told.append(name),
            **options_of_many(case),
        )
        for result in results:
            name = result.frame.stream
            if name in right:
                given = right[name]
                assert given.indices is not None
                case.kit.check(result, given.origin, given.indices[counts[name]])
            counts[name] += 1
        results.close()
    except (KeyboardInterrupt, SystemExit) as caught:  # as the source meant it, perhaps
        expect("raised by" in str(caught), f"raised {caught!r}")
        return
    for name, given in right.items():
        assert given.indices is not None
        expect(counts[name] == len(given.indices), f"{name} lost frames ({counts[name]})")
    expect(sorted(told) == sorted(failing), f"told of {sorted(told)}, not {sorted(failing)}")
    for name, at in failing.items():
        expect(counts[name] <= max(0, at), f"{name} gave {counts[name]} frames")


def options_of_many(case: Case) -> dict[str, Any]:
    """Keywords of ``stream_many``."""
    chosen = options(case.rng)
    chosen.pop("stats", None)
    return chosen


def _bad_source(case: Case, name: str, at: int, errors: dict[str, type[BaseException]]) -> Any:
    kind = case.rng.choice(["iterable", "iterable", "source", "missing", "picture"])
    if kind == "missing":
        return str(case.folder / "missing.mp4")
    if kind == "picture":
        return _bad_pictures(max(0, at))
    errors[name] = case.rng.choice(ERRORS)
    error = errors[name](f"raised by {name}")
    return _FailingSource(error, at) if kind == "source" else _Failing(error, at)


@scenario()
def many_without_a_listener(case: Case) -> None:
    """The first error of ``stream_many`` is raised once all others have ended."""
    error = case.rng.choice([ValueError, MemoryError, OSError])("raised by the source")
    bad = _Failing(error, case.rng.choice([0, 1, 10]))
    count = 0
    results = depthrt.stream_many(
        {"bad": bad, "good": case.kit.clip(SHORT)}, case.kit.model(case.rng)
    )
    try:
        for result in results:
            if result.frame.stream == "good":
                case.kit.check(result, SHORT, count)
                count += 1
    except (type(error), depthrt.DepthrtError) as caught:
        expect("raised by the source" in str(caught) or caught is error, f"raised {caught!r}")
    else:
        raise WrongError("the failure was told to nobody")
    expect(count == FRAMES[SHORT], f"the good stream gave {count} frames")
    results.close()


@scenario()
def a_listener_that_raises(case: Case) -> None:
    """``on_failure`` raises: that comes out, and nothing is left."""

    def listen(name: str, error: BaseException) -> None:
        raise LookupError(name)

    bad = _Failing(ValueError("raised by the source"), case.rng.choice([0, 3]))
    results = None
    try:
        results = depthrt.stream_many(
            {"good": case.kit.clip("long.mp4"), "bad": bad},
            case.kit.model(case.rng),
            on_failure=listen,
        )
        for result in results:
            expect(result.frame.stream in ("good", "bad"), "another stream")
    except LookupError:
        pass
    if results is not None:
        with case.ending("closing after a listener's error"):
            results.close()


@scenario(weight=2)
def one_raises(case: Case) -> None:
    """A single source that raises anything raises just that, after its frames."""
    at = case.rng.choice([0, 1, 2, 40])
    error = case.rng.choice(ERRORS)("raised by the source")
    bad: Any = _Failing(error, at) if case.rng.random() < 0.5 else _FailingSource(error, at)
    count = 0
    try:
        for result in depthrt.stream(bad, case.kit.model(case.rng), **options(case.rng)):
            case.kit.check(result, "numbered", count)
            count += 1
    except BaseException as caught:
        known = caught is error or "raised by the source" in str(caught)
        expect(known, f"{caught!r} was raised in place of {error!r}")
    else:
        raise WrongError(f"{error!r} was lost")
    finally:
        error.__traceback__ = None
    expect(count <= at, f"{count} frames came of {at}")


@scenario(weight=2)
def many_with_one_blocked(case: Case) -> None:
    """One of several sources never speaks again: the others go on, and all can be stopped."""
    speak = threading.Event()

    def blocked() -> Iterator[Any]:
        yield numbered(0)
        speak.wait()

    results = depthrt.stream_many(
        {"blocked": blocked(), "good": case.kit.clip(SHORT)}, case.kit.model(case.rng)
    )
    seen: list[int] = []

    def read() -> None:
        for result in results:
            if result.frame.stream == "good":
                case.kit.check(result, SHORT, len(seen))
                seen.append(result.frame.index)

    try:
        reader = Job(read)
        deadline_s = time.monotonic() + 10
        while len(seen) < FRAMES[SHORT] and time.monotonic() < deadline_s:
            time.sleep(0.01)
        expect(len(seen) == FRAMES[SHORT], f"held up by another: {len(seen)} frames")
        with case.ending("stopping beside a blocked source"):
            results.stop()
            reader.result()
        with case.ending("closing beside a blocked source"):
            results.close()
    finally:
        speak.set()


@scenario()
def many_endless(case: Case) -> None:
    """Many endless sources, left at a random moment."""
    names = [f"s{number}" for number in range(case.rng.randint(2, 9))]
    results = depthrt.stream_many({name: counting() for name in names}, case.kit.model(case.rng))
    counts = dict.fromkeys(names, 0)
    for _ in range(case.rng.randint(0, 120)):
        result = next(results)
        name = result.frame.stream
        case.kit.check(result, "numbered", counts[name])
        counts[name] += 1
    with case.ending("leaving many"):
        leave(results, case.rng.choice(["close", ""]))
        del results

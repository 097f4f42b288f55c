"""Callbacks: every result, in order, and every error to whoever waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from pathlib import Path
from queue import Queue

import numpy as np
import pytest

from depthrt import (
    Background,
    DepthModel,
    Frame,
    Result,
    SourceError,
    SourceInfo,
    start,
    stream,
)
from depthrt.sources.base import Losses

MakeClip = Callable[..., Path]


def test_every_result_comes_in_order(make_clip: MakeClip, model: DepthModel) -> None:
    seen: list[Result] = []
    running = start(stream(make_clip(), model), lambda result: seen.append(result))
    assert running.join(timeout_s=30)
    assert not running.is_running
    assert [result.frame.index for result in seen] == list(range(25))
    for ours, theirs in zip(seen, stream(make_clip(), model), strict=True):
        np.testing.assert_array_equal(ours.depth.values, theirs.depth.values)


def test_false_ends_it(make_clip: MakeClip, model: DepthModel) -> None:
    seen: list[int] = []

    def take_three(result: Result) -> bool:
        seen.append(result.frame.index)
        return len(seen) < 3

    assert start(stream(make_clip(), model), take_three).join(timeout_s=30)
    assert seen == [0, 1, 2]


def test_leaving_the_block_ends_it_and_its_threads(make_clip: MakeClip, model: DepthModel) -> None:
    first = threading.Event()
    before = threading.active_count()

    def note(result: Result) -> None:
        first.set()

    def forever() -> Generator[Result, None, None]:
        while True:
            yield from stream(make_clip(), model)

    with start(forever(), note) as running:
        assert first.wait(30)
        assert running.is_running
        assert not running.join(timeout_s=0.01)
    assert not running.is_running
    assert threading.active_count() == before


def test_errors_reach_whoever_waits(make_clip: MakeClip, model: DepthModel) -> None:
    def fail(result: Result) -> None:
        raise ZeroDivisionError("mine")

    running = start(stream(make_clip(), model), fail)
    with pytest.raises(ZeroDivisionError, match="mine"):
        running.join(timeout_s=30)
    assert running.join()  # it has been said

    def broken() -> Generator[Result, None, None]:
        yield next(stream(make_clip(), model))
        raise SourceError("gone")

    with pytest.raises(SourceError, match="gone"):
        _until_it_ends(start(broken(), lambda result: None))


def _until_it_ends(running: Background, error: Exception | None = None) -> None:
    """Wait inside the block, and then perhaps fail there."""
    with running:
        while running.is_running:
            time.sleep(0.001)
        if error is not None:
            raise error


def test_the_error_of_the_block_is_the_one_seen(make_clip: MakeClip, model: DepthModel) -> None:
    def fail(result: Result) -> None:
        raise ZeroDivisionError

    with pytest.raises(KeyError):
        _until_it_ends(start(stream(make_clip(), model), fail), KeyError())


class Stalling:
    """A live source that gives three frames and then waits until it is stopped."""

    def __init__(self) -> None:
        self.info = SourceInfo("stalling", (48, 64), live=True)
        self.losses = Losses()
        self.stopped = threading.Event()

    def frames(self) -> Iterator[Frame]:
        for index in range(3):
            image = np.full((48, 64, 3), 9 * index, np.uint8)
            yield Frame(image, index, Fraction(index), "stalling", None, time.monotonic())
            time.sleep(0.1)
        self.stopped.wait(30)

    def stop(self) -> None:
        self.stopped.set()


def test_stopping_ends_a_source_that_stalls(model: DepthModel) -> None:
    source, first = Stalling(), threading.Event()
    running = start(stream(source, model), lambda result: first.set())
    assert first.wait(10)
    time.sleep(0.5)
    begin_s = time.monotonic()
    running.stop()
    assert running.join(timeout_s=10)
    assert source.stopped.is_set()
    assert time.monotonic() - begin_s < 8


def test_leaving_an_iterable_that_waits_for_its_next_image(model: DepthModel) -> None:
    waiting: Queue[np.ndarray] = Queue()
    for level in (10, 20):
        waiting.put(np.full((48, 64, 3), level, np.uint8))

    def images() -> Iterator[np.ndarray]:
        while True:
            image = waiting.get()
            if image.size == 0:
                return
            yield image

    begin_s = time.monotonic()
    for _ in stream(images(), model):
        break
    assert time.monotonic() - begin_s < 20
    waiting.put(np.empty(0, np.uint8))  # lets its thread go


def test_a_stream_that_was_never_begun_lets_its_source_go(
    make_clip: MakeClip, model: DepthModel
) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = open_files()
    for _ in range(3):
        stream(make_clip(), model).close()
    kept = [stream(make_clip(), model) for _ in range(3)]
    assert open_files() > before
    del kept
    assert open_files() == before

"""Callbacks: every result, in order, and every error to whoever waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np
import pytest

from depthrt import Background, DepthModel, Result, SourceError, start, stream

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

"""Stages work off several frames in a row where that holds nobody up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from clips import Clip
from depthrt import (
    DepthModel,
    Frame,
    LiveLimits,
    Selection,
    SourceError,
    Stats,
    open_source,
    stream,
)
from depthrt.lane import End, Lane
from depthrt.lanes import Lanes
from depthrt.sources.images import ImagesSource

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


class Turns:
    """What is held for each burst, counted."""

    def __init__(self) -> None:
        self.taken, self.held = 0, 0

    def __enter__(self) -> None:
        self.taken += 1
        self.held += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.held -= 1


def wait_for(lane: Lane, frames: int) -> None:
    end_s = time.monotonic() + 10
    while len(lane.items) < frames and not lane.finished:
        assert time.monotonic() < end_s
        time.sleep(0.001)


def test_a_file_is_read_in_growing_bursts(
    model: DepthModel, make_clip: Callable[..., Path]
) -> None:
    lane = Lane("clip", open_source(make_clip(frames=25)), Stats())
    turns = Turns()
    lanes = Lanes([lane], lambda: model, 16, LiveLimits(), turns=turns)
    lanes.start()
    wait_for(lane, 16)
    # One frame, then two, four and eight, and the last one there is room for.
    assert (len(lane.items), turns.taken, turns.held) == (16, 5, 0)

    given = []
    while not isinstance(taken := lanes.take_burst(2, None, 7), End):
        assert taken is not None
        given.append([[item.frame.index for item in group] for group in taken])
        wait_for(lane, 8)
    assert given[0] == [[0, 1], [2, 3], [4, 5], [6, 7]]  # as few groups as give seven frames
    assert [i for groups in given for group in groups for i in group] == list(range(25))
    assert all(len(group) == 2 for groups in given for group in groups[:-1])
    lanes.close()


def test_a_source_that_waits_for_the_depth_before_gets_it(model: DepthModel) -> None:
    asked = threading.Semaphore(1)

    def images() -> Iterator[NDArray[np.uint8]]:
        for level in range(8):
            assert asked.acquire(timeout=5), "the depth of the image before did not come"
            yield np.full((48, 64, 3), 20 * level, np.uint8)

    seen = 0
    for result in stream(images(), model, batch=1):
        assert result.frame.index == seen
        seen += 1
        asked.release()
    assert seen == 8


class Failing(ImagesSource):
    """Fails at its sixth image, in the middle of a burst."""

    def frames(self) -> Iterator[Frame]:
        for frame in super().frames():
            if frame.index == 5:
                raise SourceError("cable")
            yield frame


def test_what_was_read_before_a_failure_comes_out(model: DepthModel, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(7)]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), np.full((48, 64, 3), number, np.uint8))
    seen: list[int] = []
    with pytest.raises(SourceError, match="cable"):
        seen.extend(r.frame.index for r in stream(Failing(paths, Selection()), model))
    assert seen == list(range(5))


@pytest.mark.parametrize("batch", [1, 3])
def test_depth_does_not_depend_on_bursts(
    model: DepthModel, make_clip: Callable[..., Path], batch: int
) -> None:
    clip = make_clip(frames=60, size=Clip().size)
    expected = [model(frame.image).values for frame in open_source(clip).frames()]
    results = list(stream(clip, model, batch=batch))
    assert [result.frame.index for result in results] == list(range(60))
    for result, values in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result.depth.values, values)

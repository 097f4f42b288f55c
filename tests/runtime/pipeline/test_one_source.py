"""Frames go through without waiting for one another, and none is mixed up or lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt import (
    DepthModel,
    Frame,
    Selection,
    SourceError,
    open_source,
    stream,
)
from depthrt.sources.images import ImagesSource
from helpers.files.clips import Clip

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


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
def test_depth_is_that_of_each_frame_alone(
    model: DepthModel, make_clip: Callable[..., Path], batch: int
) -> None:
    clip = make_clip(frames=60, size=Clip().size)
    expected = [model(frame.pixels).values for frame in open_source(clip).frames()]
    results = list(stream(clip, model, batch=batch))
    assert [result.frame.index for result in results] == list(range(60))
    for result, values in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result.depth.values, values)

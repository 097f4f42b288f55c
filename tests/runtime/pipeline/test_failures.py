"""Whatever a source or the network raises ends its stream alone and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt import DepthModel, Frame, SourceInfo, UsageError, stream, stream_many
from depthrt.model.inference import Abort
from depthrt.sources.base import Losses

pytestmark = pytest.mark.usefixtures("no_thread_is_left")
MakeClip = Callable[..., Path]


def pictures(count: int) -> list[NDArray[np.uint8]]:
    return [np.full((48, 64, 3), index % 256, np.uint8) for index in range(count)]


class Raising:
    """A source that raises, or one whose first picture does."""

    def __init__(self, error: BaseException, after: int) -> None:
        self.info = SourceInfo("raising", (48, 64))
        self.losses = Losses()
        self._error, self._after = error, after

    def frames(self) -> Iterator[Frame]:
        for index, image in enumerate(pictures(self._after)):
            yield Frame(image, index, Fraction(index, 25), "raising")
        raise self._error


class NoImages:
    """An iterable whose first image is an error."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        raise self._error


class Odd(BaseException):
    """No Exception."""


@pytest.mark.parametrize(
    "error", [ValueError("mine"), MemoryError("full"), RuntimeError("x"), Odd("odd")]
)
def test_whatever_a_stream_raises_ends_that_stream_alone(
    model: DepthModel, error: BaseException
) -> None:
    sources = {
        "good": pictures(12),
        "opening": NoImages(error),
        "first": Raising(error, 0),
        "later": Raising(error, 3),
        "other shape": [*pictures(2), np.zeros((4, 4), np.uint8)],
    }
    failures: dict[str, BaseException] = {}
    seen = dict.fromkeys(sources, 0)
    for result in stream_many(sources, model, on_failure=failures.__setitem__):
        seen[result.frame.stream] += 1
    assert seen == {"good": 12, "opening": 0, "first": 0, "later": 3, "other shape": 2}
    assert {name: failures[name] for name in ("opening", "first", "later")} == {
        "opening": error, "first": error, "later": error,
    }  # fmt: skip
    assert isinstance(failures["other shape"], UsageError)


def test_an_error_of_the_network_ends_only_the_streams_it_is_of(
    model: DepthModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    infer = model.infer

    def failing(batch: NDArray[np.uint8], abort: Abort | None = None) -> NDArray[np.float32]:
        if (batch[:, 0, 0, 0] == 77).any():
            raise MemoryError("too large")
        return infer(batch, abort)

    monkeypatch.setattr(model, "infer", failing)
    bad = [*pictures(3), np.full((48, 64, 3), 77, np.uint8)]
    failures: dict[str, BaseException] = {}
    results = stream_many(
        {"good": pictures(8), "bad": bad}, model, batch=4, on_failure=failures.__setitem__
    )
    assert sum(result.frame.stream == "good" for result in results) == 8
    assert list(failures) == ["bad"]
    assert isinstance(failures["bad"], MemoryError)


def fail_at_the_sixth(clip: Path, model: DepthModel) -> None:
    with stream(clip, model) as results:
        for result in results:
            _ = 1 / (5 - result.frame.index)


def test_a_run_that_raises_leaves_no_file_open(model: DepthModel, make_clip: MakeClip) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    clip = make_clip(frames=60)
    before = open_files()
    for _ in range(4):
        with pytest.raises(ZeroDivisionError):
            fail_at_the_sixth(clip, model)
    assert open_files() == before

"""The way of a frame, end to end in memory, and every way it can break."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt import (
    DepthModel,
    DepthrtError,
    Frame,
    InferenceError,
    Result,
    Selection,
    SourceInfo,
    Stats,
    UsageError,
    prepare,
    stream,
)
from depthrt.jobs.run_job import Job
from depthrt.jobs.shared_outputs import SharedOutputs
from depthrt.sinks.open import Output
from depthrt.sources.base import Losses
from helpers.files.write_results import write_into
from helpers.models.small_model import build_model, expected_depth

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> DepthModel:
    return DepthModel.load(build_model(tmp_path_factory.mktemp("model") / "tiny.onnx"))


def pictures(count: int, size: tuple[int, int] = (60, 80)) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 255, (*size, 3), dtype=np.uint8) for _ in range(count)]


class Memory:
    """A source that does as it is told."""

    def __init__(self, count: int, *, live: bool = False, fail_at: int | None = None) -> None:
        self.info = SourceInfo("memory", (60, 80), live=live)
        self.losses = Losses()
        self.closed = False
        self._images = pictures(count)
        self._fail_at = fail_at

    def frames(self) -> Iterator[Frame]:
        try:
            for index, image in enumerate(self._images):
                if index == self._fail_at:
                    raise OSError("the reader broke") from TimeoutError("cable")
                yield Frame(image, index, Fraction(index, 25), "memory")
        finally:
            self.closed = True


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_every_frame_comes_out_in_order_with_its_depth(model: DepthModel, batch: int) -> None:
    images = pictures(10)
    stats = Stats()
    results = list(stream(images, model, batch=batch, stats=stats))
    assert [r.frame.index for r in results] == list(range(10))
    for image, result in zip(images, results, strict=True):
        expected = expected_depth(prepare(image, model.spec.input)[None])[0]
        np.testing.assert_allclose(result.depth.values, expected, rtol=1e-6)
    assert stats.frames == 10
    assert set(stats.busy_s) == {"decode", "prepare", "infer"}


def test_frames_of_several_sizes_pass(model: DepthModel) -> None:
    images = [*pictures(2), *pictures(2, (33, 47))]
    sizes = [r.depth.image_size for r in stream(images, model, batch=4)]
    assert sizes == [(60, 80)] * 2 + [(33, 47)] * 2


def test_pixels_can_be_let_go_once_the_network_has_them(model: DepthModel) -> None:
    images = pictures(3)
    kept, bare = (list(stream(images, model, pictures=keep)) for keep in (True, False))
    for image, a, b in zip(images, kept, bare, strict=True):
        np.testing.assert_array_equal(a.frame.pixels, image)
        assert a.frame.pixels is not image, "whoever made it may write to it again"
        assert b.frame.pixels.shape == image.shape
        assert np.asarray(b.frame.pixels).strides == (0, 0, 0), "it takes no memory"
        np.testing.assert_array_equal(a.depth.values, b.depth.values)
        assert (a.display_range, a.depth.image_size) == (b.display_range, b.depth.image_size)


@pytest.mark.parametrize(
    ("job", "output", "needed"),
    [
        (Job("clip.mp4"), "out.mp4", False),
        (Job("clip.mp4"), "out.npz", False),
        (Job("clip.mp4", view="side"), "out.mp4", True),
        (Job("clip.mp4"), "out.PLY", True),
        (Job("clip.mp4", points=True), "out", True),
        (Job("clip.mp4", shared=SharedOutputs(preview="8000")), "out.mp4", True),
    ],
)
def test_who_needs_the_picture(job: Job, output: str, needed: bool) -> None:
    assert job.needs_pictures([Output.of(output)]) is needed


def test_selection_of_images(model: DepthModel) -> None:
    selection = Selection(start_s=0.08, stride=2, max_frames=3)
    results = list(stream(pictures(20), model, selection=selection))
    assert [r.frame.index for r in results] == [2, 4, 6]


def test_a_reader_that_raises_reaches_the_caller_with_its_cause(model: DepthModel) -> None:
    source = Memory(9, fail_at=4)
    seen = []
    with pytest.raises(OSError, match="the reader broke") as caught:
        seen.extend(r.frame.index for r in stream(source, model))
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert source.closed


def test_a_model_that_raises_names_the_frame(tmp_path: Path) -> None:
    model = DepthModel.load(build_model(tmp_path / "nan.onnx", gain=float("nan")))
    source = Memory(9)
    with pytest.raises(InferenceError, match=r"frame 0: .*non-finite"):
        list(stream(source, model))
    assert source.closed


def test_a_consumer_that_stops_early_ends_every_stage(model: DepthModel) -> None:
    source = Memory(500)
    results = stream(source, model)
    next(results)
    results.close()
    assert source.closed


def test_a_live_source_drops_and_counts(model: DepthModel) -> None:
    stats = Stats()
    slow = threading.Event()
    results = stream(Memory(200, live=True), model, stats=stats)
    seen = [next(results).frame.index]
    slow.wait(0.3)
    seen += [r.frame.index for r in results]
    assert stats.dropped > 0
    assert stats.dropped + len(seen) == 200
    assert seen[-1] == 199


def test_wrong_arguments_are_said(model: DepthModel) -> None:
    with pytest.raises(UsageError, match="--batch 0"):
        stream(pictures(1), model, batch=0)
    with pytest.raises(UsageError, match="has its selection"):
        stream(Memory(1), model, selection=Selection(stride=2))
    with pytest.raises(DepthrtError, match="holds no image"):
        stream([], model)


def test_a_scene_cut_is_found_and_resets_the_display_range(model: DepthModel) -> None:
    rng = np.random.default_rng(4)
    dark = rng.integers(0, 60, (60, 80, 3), dtype=np.uint8)
    bright = rng.integers(180, 255, (60, 80, 3), dtype=np.uint8)
    results = list(stream([dark] * 5 + [bright] * 5, model))
    assert [r.scene_cut for r in results] == [False] * 5 + [True] + [False] * 4
    assert results[4].display_range[1] < results[5].display_range[0]


def test_the_display_range_is_causal_and_smooth(model: DepthModel) -> None:
    first = pictures(1)[0] // 2
    images = [first] * 3 + [first + np.uint8(20)] * 3
    shown = [r.display_range for r in stream(images, model)]
    again = [r.display_range for r in stream(images[:4], model)]
    assert shown[:4] == again  # the future does not count
    low, high = shown[2]
    step = shown[3][0] - low
    target = 20 * 0.875
    assert 0 < step < 0.1 * target  # 1 - exp(-0.04 s / 1 s) is 3.9% of the way
    assert high - low > 0


class FailingSink:
    paused_s = 0.0

    def __init__(self, error: Exception) -> None:
        self.error, self.closed = error, False

    def write(self, result: Result) -> bool:
        if result.frame.index == 3:
            raise self.error from EOFError("why")
        return True

    def close(self, *, complete: bool) -> Path | None:
        assert not complete
        self.closed = True
        return Path("out.partial.mp4")


@pytest.mark.parametrize("make", [ValueError, lambda text: InferenceError(text)])
def test_a_sink_that_raises_ends_the_stages_and_keeps_what_was_done(
    model: DepthModel, make: Callable[[str], Exception]
) -> None:
    source, sink = Memory(500), FailingSink(make("the sink broke"))
    with pytest.raises(type(sink.error), match="the sink broke") as caught:
        write_into([sink], stream(source, model), source.info.name)
    assert source.closed
    assert sink.closed
    if isinstance(caught.value, DepthrtError):
        assert "out.partial.mp4" in str(caught.value)
        assert caught.value.__cause__ is sink.error
    assert isinstance(sink.error.__cause__, EOFError)

"""Recordings: threads take the next job, and the consumer lends a hand."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt import (
    DepthModel,
    Frame,
    InferenceError,
    Reuse,
    Selection,
    SourceError,
    Stats,
    open_source,
    stream,
    stream_many,
)
from depthrt.model.inference import Abort
from depthrt.pipeline.batch import Batch, StreamPostprocessor
from depthrt.pipeline.frame_queue import FrameQueue
from depthrt.pipeline.options import StreamOptions
from depthrt.pipeline.scheduling.scheduler import Scheduler
from depthrt.pipeline.stream_state import End, FrameReader, StreamState
from depthrt.result import Result
from depthrt.sources.images import ImagesSource
from depthrt.spec import InputSpec
from helpers.models.small_model import build_model, build_spec

pytestmark = pytest.mark.usefixtures("no_thread_is_left")

COUNT = 20


@pytest.fixture
def model(model_of_three_cores: DepthModel) -> DepthModel:
    return model_of_three_cores


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Pictures, each of a grey of its own."""
    made = [tmp_path / f"{number:02}.png" for number in range(COUNT)]
    for number, path in enumerate(made):
        cv2.imwrite(str(path), np.full((48, 64, 3), 10 * number, np.uint8))
    return made


class Failing(ImagesSource):
    """Raises in place of its sixth picture."""

    error: BaseException = SourceError("cable")

    def frames(self) -> Iterator[Frame]:
        for frame in super().frames():
            if frame.index == 5:
                raise self.error
            yield frame


class Counting(ImagesSource):
    """Counts what was read, and tells that it was closed."""

    read, closed = 0, False

    def frames(self) -> Iterator[Frame]:
        try:
            for frame in super().frames():
                self.read += 1
                yield frame
        finally:
            self.closed = True


def hold_up(model: DepthModel, monkeypatch: pytest.MonkeyPatch, fail_on: int = -1) -> set[str]:
    """The first of three inferences is the last to end; the names of the threads are returned."""
    infer, threads = model.infer, set[str]()

    def slowly(batch: NDArray[np.uint8], abort: Abort | None = None) -> NDArray[np.float32]:
        threads.add(threading.current_thread().name)
        frame = int(batch[0, 0, 0, 0]) // 10
        time.sleep(0.04 if frame % 3 == 0 else 0.01)
        if fail_on in batch[:, 0, 0, 0] // 10:
            raise InferenceError("this one is bad")
        return infer(batch, abort)

    monkeypatch.setattr(model, "infer", slowly)
    return threads


@pytest.mark.parametrize("batch", [1, 3])
def test_order_and_depth_do_not_depend_on_the_threads(
    model: DepthModel, paths: list[Path], monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    source, stats = ImagesSource(paths, Selection()), Stats()
    expected = [model(frame.pixels).values for frame in source.frames()]
    threads = hold_up(model, monkeypatch)
    results = list(stream(source, model, batch=batch, stats=stats))
    assert [result.frame.index for result in results] == list(range(COUNT))
    for result, values in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result.depth.values, values)
    # The one that takes the results works, too.
    assert threads == {threading.current_thread().name, "depthrt-work-1", "depthrt-work-2"}
    assert stats.frames == COUNT
    assert set(stats.busy_s) == {"decode", "prepare", "infer"}


def test_sizes_are_not_mixed_in_one_inference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: DepthModel
) -> None:
    spec = replace(build_spec(), input=InputSpec(48, 48, resize="keep_aspect", multiple_of=8))
    path = build_model(tmp_path / "any.onnx", spec=spec, dynamic_size=True)
    model = DepthModel.load(path, provider="cpu", objective="throughput")
    assert model.parallel == 3
    sizes = [(48, 64)] * 4 + [(64, 48)] * 2 + [(48, 64)]
    pictures = [tmp_path / f"{number}.png" for number in range(len(sizes))]
    for picture, size in zip(pictures, sizes, strict=True):
        cv2.imwrite(str(picture), np.full((*size, 3), 100, np.uint8))
    results = list(stream(ImagesSource(pictures, Selection()), model, batch=3))
    assert [result.depth.image_size for result in results] == sizes


def test_what_was_read_before_a_failure_comes_out(model: DepthModel, paths: list[Path]) -> None:
    seen: list[int] = []
    with pytest.raises(SourceError, match="cable"):
        seen.extend(r.frame.index for r in stream(Failing(paths, Selection()), model, batch=2))
    assert seen == list(range(5))


def test_an_interruption_travels_as_itself(model: DepthModel, paths: list[Path]) -> None:
    source = Failing(paths, Selection())
    source.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        list(stream(source, model))


@pytest.mark.parametrize("batch", [1, 4])
def test_a_bad_frame_ends_it_after_those_before(
    model: DepthModel, paths: list[Path], monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    hold_up(model, monkeypatch, fail_on=7)
    seen: list[int] = []
    with pytest.raises(InferenceError, match="frame 7: this one is bad"):
        seen.extend(
            r.frame.index for r in stream(ImagesSource(paths, Selection()), model, batch=batch)
        )
    assert seen == list(range(7))


def test_the_end_of_a_failed_stream_is_waited_for(
    model: DepthModel, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_up(model, monkeypatch, fail_on=3)

    def run() -> list[Result | End]:
        state = StreamState("pictures", ImagesSource(paths, Selection()), Stats())
        scheduler = Scheduler([state], model, StreamOptions(1))
        stop = scheduler.stop

        def slowly(name: str) -> None:
            stop(name)
            time.sleep(0.15)  # the one that takes results is told before the end is there

        monkeypatch.setattr(scheduler, "stop", slowly)
        return list(scheduler)

    for _ in range(6):  # whichever thread post-processes the bad frame
        events = run()
        assert isinstance(events[-1], End)
        assert isinstance(events[-1].error, InferenceError)
        assert len(events) == 4


def test_a_source_that_is_not_wanted_is_closed(
    model: DepthModel, make_clip: Callable[..., Path]
) -> None:
    source = open_source(make_clip(frames=10))
    results = stream(source, model)
    results.stop()
    assert list(results) == []
    assert len(list(source.frames())) < 2  # what opening it had decoded


def test_a_stage_that_raises_does_so_after_what_came_before(
    model: DepthModel, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = StreamPostprocessor.result

    def failing(self: StreamPostprocessor, frame: Frame, *rest: object) -> Result:
        if frame.index == 6:
            raise RuntimeError("stage")
        return result(self, frame, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(StreamPostprocessor, "result", failing)
    seen: list[int] = []
    with pytest.raises(RuntimeError, match="stage"):
        seen.extend(r.frame.index for r in stream(ImagesSource(paths, Selection()), model, batch=4))
    assert seen == list(range(6))


def test_leaving_early_ends_every_thread_and_closes_the_source(
    model: DepthModel, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_up(model, monkeypatch)
    source = Counting(paths, Selection())
    results = stream(source, model)
    assert next(results).frame.index == 0
    results.close()
    assert source.closed
    assert source.read < COUNT


def test_no_more_is_read_than_asked_for(model: DepthModel, paths: list[Path]) -> None:
    source = Counting(paths, Selection())
    state = StreamState("pictures", source, Stats())
    events = iter(Scheduler([state], model, StreamOptions(3)))
    next(events)
    end_s = time.monotonic() + 10
    while source.read < 17 and time.monotonic() < end_s:  # sixteen ahead of the one taken
        time.sleep(0.001)
    time.sleep(0.05)
    assert source.read == 17
    rest = list(events)
    assert source.read == COUNT
    assert isinstance(rest[-1], End)
    assert rest[-1].error is None
    assert len(rest) == COUNT  # without the first, and with the end


def test_it_can_be_ended_from_another_thread(
    model: DepthModel, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_up(model, monkeypatch)
    results = stream(ImagesSource(paths * 50, Selection()), model)
    threading.Timer(0.1, results.stop).start()
    assert 0 < len(list(results)) < COUNT * 50


def test_frames_that_did_not_change_are_not_computed(
    model: DepthModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "still.png"
    cv2.imwrite(str(path), np.full((48, 64, 3), 100, np.uint8))
    stats = Stats()
    source = ImagesSource([path] * 8, Selection())
    results = list(stream(source, model, reuse=Reuse(max_age_s=1e6), stats=stats, batch=2))
    assert [result.reused for result in results] == [False] + [True] * 7
    assert stats.reused == 7
    for result in results:
        np.testing.assert_array_equal(result.depth.values, results[0].depth.values)


@pytest.mark.parametrize("parallel", [3, 1])
def test_a_run_that_has_ended_leaves_nothing_behind(
    model: DepthModel, paths: list[Path], parallel: int
) -> None:
    """Nothing waits for Python's garbage collector: a thousand runs grew by 20 MB."""
    kinds = (Scheduler, Batch, FrameQueue, FrameReader, StreamPostprocessor, StreamState)

    def held() -> list[object]:
        return [each for each in gc.get_objects() if issubclass(type(each), kinds)]

    model.options = replace(model.options, parallel=parallel)
    gc.collect()
    gc.disable()
    before = held()  # of other tests, whose failures pytest keeps
    try:
        assert sum(1 for _ in stream(ImagesSource(paths, Selection()), model)) == COUNT
        new = [type(o).__name__ for o in held() if not any(o is old for old in before)]
        assert new == []
    finally:
        gc.enable()


@pytest.mark.timeout(50)
def test_nobody_is_left_waiting_at_the_end(
    model: DepthModel, make_clip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The consumer may itself find that the last stream has ended; nobody would wake it then."""
    monkeypatch.setattr("depthrt.pipeline.scheduling.scheduler.LOOK_S", 60.0)
    clip = make_clip(frames=9)
    for _ in range(30):
        assert sum(1 for _ in stream_many([clip] * 3, model, batch=4)) == 27


@pytest.mark.parametrize(("parallel", "next_is"), [(1, "_infer"), (2, "_postprocess")])
def test_a_network_that_takes_all_cores_comes_first(
    model_path: Path, make_clip: Callable[..., Path], parallel: int, next_is: str
) -> None:
    """Else all cores but one would be idle while a result is made."""
    loaded = DepthModel.load(model_path, provider="cpu", threads=1, parallel=parallel)
    clip = open_source(make_clip(frames=9))
    scheduler = Scheduler([StreamState("clip", clip, Stats())], loaded, StreamOptions(1))
    done: list[str] = []
    while "_infer" not in done or done[-1] != "_read":
        job = scheduler._next_job()
        assert isinstance(job, partial)
        done.append(job.func.__name__)
        job()
        if done[-1] == "_infer":  # another frame is ready beside the result
            read = scheduler._read_job(needed=False)
            assert isinstance(read, partial)
            read()
            done.append("_read")
    job = scheduler._next_job()
    assert isinstance(job, partial)
    assert job.func.__name__ == next_is
    scheduler.close()

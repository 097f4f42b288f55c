"""Several sources through one session: fair, in order, grouped by size, and failing alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt import (
    DepthModel,
    Frame,
    InferenceError,
    LiveLimits,
    Selection,
    SourceError,
    SourceInfo,
    Stats,
    UsageError,
    prepare,
    stream,
    stream_many,
)
from depthrt.pipeline.frame_queue import FrameQueue
from depthrt.pipeline.options import FramesAhead
from depthrt.pipeline.stream_state import FrameReader, StreamState
from depthrt.sources.base import Losses
from depthrt.spec import InputSpec, ModelSpec
from helpers.models.small_model import (
    build_model,
    build_picky_model,
    build_slow_model,
    expected_depth,
)

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def dynamic_model(folder: Path) -> DepthModel:
    spec = ModelSpec("any", "inverse_depth", InputSpec(48, 64, "keep_aspect", 16))
    return DepthModel.load(build_model(folder / "any.onnx", spec=spec, dynamic_size=True))


@pytest.fixture(scope="module")
def picky_model(folder: Path) -> DepthModel:
    return DepthModel.load(build_picky_model(folder / "picky.onnx"))


@pytest.fixture(scope="module")
def slow_model(folder: Path) -> DepthModel:
    return DepthModel.load(build_slow_model(folder / "slow.onnx"))


def pictures(
    count: int, seed: int = 3, size: tuple[int, int] = (60, 80)
) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 255, (*size, 3), dtype=np.uint8) for _ in range(count)]


class Scripted:
    """A source that gives the pictures it has, at the moments it is told to."""

    def __init__(
        self,
        name: str,
        images: list[NDArray[np.uint8]],
        *,
        live: bool = False,
        fail: Exception | None = None,
        gate: threading.Semaphore | None = None,
        step_s: Fraction = Fraction(1, 25),
    ) -> None:
        self.info = SourceInfo(name, (60, 80), live=live)
        self.losses = Losses()
        self.closed = threading.Event()
        self._images, self._fail, self._gate, self._step_s = images, fail, gate, step_s

    def frames(self) -> Iterator[Frame]:
        try:
            for index, image in enumerate(self._images):
                if self._gate is not None:
                    self._gate.acquire(timeout=10)
                yield Frame(image, index, index * self._step_s, "whatever")
            if self._fail is not None:
                raise self._fail
        finally:
            self.close()

    def close(self) -> None:
        """Called in place of the iterator's if no frame was read."""
        self.closed.set()


def queue_of(
    *sources: Scripted, batch: int = 4, capacity: int = 4
) -> tuple[FrameQueue, list[StreamState]]:
    """A queue whose streams are read by :func:`fill`."""
    states = [StreamState(source.info.name, source, Stats()) for source in sources]
    return FrameQueue(states, FramesAhead(capacity, 100), batch, None, LiveLimits()), states


def fill(queue: FrameQueue, states: list[StreamState], model: DepthModel) -> None:
    """Read every stream until it is full or has ended."""
    for state in states:
        reader = FrameReader(state, model, None, pictures=True)
        while queue.may_read(state, 0):
            item = reader.next()
            state.finished = item is None
            if item is not None:
                queue.add(item)


def take_all(
    queue: FrameQueue, states: list[StreamState], model: DepthModel
) -> list[list[tuple[str, int]]]:
    """The groups in which all frames are taken, each with every stream as full as it gets."""
    groups = []
    while True:
        fill(queue, states, model)
        while queue.take_ended() is not None:
            pass
        if queue.is_over:
            return groups
        group = queue.take()
        assert group  # nothing is waited for: every stream is full or has ended
        groups.append([(item.stream.name, item.frame.index) for item in group])


def test_streams_take_turns_and_keep_their_order(model: DepthModel) -> None:
    sources = [Scripted(name, pictures(6)) for name in "abc"]
    groups = take_all(*queue_of(*sources, batch=3), model)
    assert groups[0] == [("a", 0), ("b", 0), ("c", 0)]
    assert groups[1] == [("b", 1), ("c", 1), ("a", 1)]
    given = [item for group in groups for item in group]
    for name in "abc":
        assert [index for other, index in given if other == name] == list(range(6))
    ahead = dict.fromkeys("abc", 0)
    for name, index in given:
        ahead[name] = index
        assert max(ahead.values()) - min(ahead.values()) <= 1


def test_a_short_stream_leaves_its_place_to_the_others(model: DepthModel) -> None:
    sources = Scripted("a", pictures(8)), Scripted("b", pictures(1))
    groups = take_all(*queue_of(*sources), model)
    assert sorted(groups[0]) == [("a", 0), ("a", 1), ("a", 2), ("b", 0)]
    assert [item for group in groups[1:] for item in group] == [("a", i) for i in range(3, 8)]
    assert [len(group) for group in groups] == [4, 4, 1]


def test_a_group_has_one_network_size(dynamic_model: DepthModel) -> None:
    wide, tall = pictures(4, size=(48, 96)), pictures(4, size=(96, 48))
    sources = [Scripted("w", wide), Scripted("t", tall), Scripted("v", wide)]
    groups = take_all(*queue_of(*sources), dynamic_model)
    for group in groups:
        assert len({name == "t" for name, _ in group}) == 1
    assert sum(map(len, groups)) == 12


def test_a_stalled_recording_holds_the_others_up_only_so_long(model: DepthModel) -> None:
    gate = threading.Semaphore(0)
    sources = {"a": pictures(2), "b": Scripted("b", pictures(2), gate=gate)}
    results = stream_many(sources, model, batch=4, wait_s=0.05)
    begin_s = time.monotonic()
    first = [next(results).frame.stream for _ in range(2)]
    assert first == ["a", "a"]
    assert time.monotonic() - begin_s < 5  # the gate would open after 10
    gate.release(2)
    rest = [(result.frame.stream, result.frame.index) for result in results]
    assert rest == [("b", 0), ("b", 1)]


def test_a_live_frame_that_waits_is_replaced_by_a_newer_one(model: DepthModel) -> None:
    source = Scripted("live", pictures(9), live=True)
    queue, (state,) = queue_of(source)
    fill(queue, [state], model)
    group = queue.take()
    assert [item.frame.index for item in group] == [8]
    assert state.stats.dropped == 8
    assert queue.take_ended() is state
    assert queue.is_over


def test_depth_is_the_same_through_one_stream_and_through_eight(model: DepthModel) -> None:
    images = pictures(7)
    alone = [r.depth.values for r in stream(images, model)]
    stats: dict[str, Stats] = {}
    together: dict[str, list[NDArray[np.float32]]] = {}
    for result in stream_many([images] * 8, model, batch=5, stats=stats):
        seen = together.setdefault(result.frame.stream, [])
        assert result.frame.index == len(seen)
        seen.append(result.depth.values)
    names = ["images", *(f"images ({n})" for n in range(2, 9))]
    assert sorted(together) == sorted(names)
    for name in names:
        np.testing.assert_array_equal(together[name], alone)
        assert stats[name].frames == 7


def test_scene_cuts_and_ranges_are_each_streams_own(model: DepthModel) -> None:
    dark, bright = (np.full((60, 80, 3), value, np.uint8) for value in (10, 240))
    cuts = {"still": [], "cut": []}  # type: dict[str, list[bool]]
    ranges = {"still": set(), "cut": set()}  # type: dict[str, set[float]]
    sources = {"still": [dark] * 6, "cut": [bright] * 3 + [dark] * 3}
    for result in stream_many(sources, model, batch=4):
        cuts[result.frame.stream].append(result.scene_cut)
        ranges[result.frame.stream].add(round(result.display_range[0], 3))
    assert cuts == {"still": [False] * 6, "cut": [False] * 3 + [True] + [False] * 2}
    assert ranges["still"] == {8.75}
    assert ranges["cut"] == {8.75, 210.0}


def test_a_stream_that_fails_ends_alone_and_is_raised_at_the_end(model: DepthModel) -> None:
    broken = Scripted("broken", pictures(2), fail=SourceError("cable"))
    failures: list[tuple[str, str]] = []
    sources = {"bad": broken, "good": pictures(9), "none": "no such file.mp4"}
    seen = [
        (result.frame.stream, result.frame.index)
        for result in stream_many(
            sources, model, on_failure=lambda name, error: failures.append((name, str(error)))
        )
    ]
    assert [index for name, index in seen if name == "good"] == list(range(9))
    assert [index for name, index in seen if name == "bad"] == [0, 1]
    assert failures == [
        ("none", "no file, directory, camera or URL 'no such file.mp4'"),
        ("bad", "cable"),
    ]
    again = Scripted("broken", pictures(2), fail=SourceError("cable"))
    results = stream_many([again, pictures(9)], model)
    assert sum(1 for _ in zip(range(11), results, strict=False)) == 11
    with pytest.raises(SourceError, match="cable"):
        next(results)


def test_a_frame_that_the_model_fails_on_ends_its_stream_only(
    picky_model: DepthModel,
) -> None:
    # The model divides by the first pixel's red: a black frame gives infinity.
    good = [np.maximum(image, 1) for image in pictures(8)]
    bad = [*good[:5], np.zeros_like(good[0]), *good[6:]]
    failures: list[tuple[str, BaseException]] = []
    seen: dict[str, list[int]] = {"good": [], "bad": []}
    for result in stream_many(
        {"good": good, "bad": bad},
        picky_model,
        batch=4,
        on_failure=lambda name, error: failures.append((name, error)),
    ):
        seen[result.frame.stream].append(result.frame.index)
    assert seen == {"good": list(range(8)), "bad": list(range(5))}
    ((name, error),) = failures
    assert name == "bad"
    assert isinstance(error, InferenceError)
    assert str(error).startswith("frame 5: ")


def test_what_cannot_be_run_is_said_at_once(model: DepthModel) -> None:
    with pytest.raises(UsageError, match="no source"):
        stream_many([], model)
    with pytest.raises(UsageError, match="--batch 0"):
        stream_many([pictures(1)], model, batch=0)
    with pytest.raises(SourceError, match="'a'"):
        stream_many(["a", "b"], model)
    with pytest.raises(UsageError, match="has its selection"):
        stream_many([Scripted("a", pictures(1))], model, selection=Selection(stride=2))


def test_leaving_early_closes_every_source(model: DepthModel) -> None:
    sources = [Scripted(f"s{n}", pictures(300)) for n in range(4)]
    results = stream_many(sources, model)
    next(results)
    results.close()
    assert all(source.closed.wait(20) for source in sources)


def test_the_rate_of_a_live_source_is_limited_by_its_times(model: DepthModel) -> None:
    gate = threading.Semaphore(0)
    source = Scripted("live", pictures(60), live=True, gate=gate, step_s=Fraction(1, 60))
    seen = []
    stats = Stats()
    gate.release()
    for result in stream(source, model, stats=stats, limits=LiveLimits(max_rate=20.0)):
        seen.append(result.frame.index)
        gate.release(3)
    assert seen == list(range(0, 60, 3))
    assert stats.dropped == 0


def test_frames_that_are_too_old_are_dropped_and_counted(slow_model: DepthModel) -> None:
    stats = Stats()
    source = Scripted("live", pictures(5), live=True)
    results = stream(source, slow_model, stats=stats, limits=LiveLimits(max_latency_s=1e-4))
    assert list(results) == []
    assert stats.late > 0
    assert stats.dropped >= stats.late
    assert stats.latency.count == 0


def test_latency_of_live_results_is_from_capture_to_hand_over(model: DepthModel) -> None:
    stats = Stats()
    results = stream(Scripted("live", pictures(3), live=True), model, stats=stats)
    before = time.monotonic()
    for result in results:
        assert result.latency_s is not None
        assert result.frame.captured_s is not None
        assert before <= result.frame.captured_s <= time.monotonic() - result.latency_s
    assert stats.latency.count == stats.frames >= 1
    assert next(stream(pictures(1), model)).latency_s is None


def test_a_consumer_that_is_too_slow_gets_the_newest_and_memory_stays_flat(
    model: DepthModel,
) -> None:
    gate = threading.Semaphore(0)
    source = Scripted("live", pictures(200), live=True, gate=gate)
    stats = Stats()
    seen: list[int] = []
    gate.release()
    for result in stream(source, model, stats=stats):
        seen.append(result.frame.index)
        gate.release(20)
        time.sleep(0.02)
    # Between two results at most one older frame waits: the one asked for when the last was taken.
    assert len(seen) <= 22
    assert seen[-1] == 199
    assert stats.dropped == 200 - stats.frames


def test_expected_values_survive_the_batch(model: DepthModel) -> None:
    first, second = pictures(4, seed=1), pictures(4, seed=2, size=(30, 50))
    for result in stream_many({"x": first, "y": second}, model, batch=3):
        images = {"x": first, "y": second}[result.frame.stream]
        pixels = prepare(images[result.frame.index], model.spec.input)
        np.testing.assert_allclose(result.depth.values, expected_depth(pixels[None])[0], rtol=1e-6)

"""Recordings of which the network sees a few frames, through the whole pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt import (
    DepthModel,
    InferenceError,
    Keyframes,
    Result,
    Reuse,
    Selection,
    Stats,
    stream,
    stream_many,
)
from depthrt.model.inference import Abort, Prediction
from helpers.files.moving import SIZE, panned, texture
from helpers.models.small_model import build_model

pytestmark = pytest.mark.usefixtures("no_thread_is_left")

Image = NDArray[np.uint8]
NO_AUDIT = Keyframes(0.02, audit=0)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("models") / "wide.onnx", size=SIZE)


class Watched(DepthModel):
    """A model that counts the frames that its network sees, and may fail at one."""

    seen = 0
    fails_at: int | None = None

    def predict(self, batch: NDArray[np.uint8], abort: Abort | None = None) -> Prediction:
        for _ in batch:
            if self.seen == self.fails_at:
                raise InferenceError("the network is out of order")
            self.seen += 1
        return super().predict(batch, abort)


@pytest.fixture(params=[1, 2], ids=["one at a time", "two at a time"])
def model(path: Path, request: pytest.FixtureRequest) -> Watched:
    made = Watched.load(path, provider="cpu", threads=1, parallel=request.param)
    assert isinstance(made, Watched)
    return made


def pan(count: int, seed: int = 1, start: float = 0.0) -> list[Image]:
    scene = texture(seed)
    return [panned(scene, start + 0.7 * i) for i in range(count)]


def all_of(results: Iterator[Result]) -> list[Result]:
    return list(results)


def test_every_frame_has_depth_in_order_and_the_network_sees_few(model: Watched) -> None:
    images, stats = pan(30), Stats()
    exact = all_of(stream(images, model))
    model.seen = 0
    found = all_of(stream(images, model, keyframes=NO_AUDIT, stats=stats))
    assert [r.frame.index for r in found] == list(range(30))
    inferred = [r.frame.index for r in found if not r.interpolated]
    assert inferred == [0, 7, 15, 23, 29]  # the first, and the last of each eight
    assert model.seen == len(inferred)
    assert (stats.frames, stats.interpolated) == (30, 25)
    for true, given in zip(exact, found, strict=True):
        spread = float(np.ptp(np.percentile(true.depth.values, (2, 98))))
        error = float(np.abs(true.depth.values - given.depth.values).mean()) / spread
        assert error < 0.02
        if not given.interpolated:
            assert error == 0


def test_depth_does_not_depend_on_chance(model: Watched) -> None:
    images = pan(40)
    runs = [all_of(stream(images, model, keyframes=Keyframes(0.004, audit=0.3))) for _ in range(3)]
    for first, *others in zip(*runs, strict=True):
        for other in others:
            np.testing.assert_array_equal(first.depth.values, other.depth.values)
            assert first.audit_error == other.audit_error


def test_depth_does_not_depend_on_how_many_inferences_run_at_a_time(path: Path) -> None:
    images, keyframes = pan(80), Keyframes(0.002, audit=0.3)
    runs = []
    for parallel in (1, 2, 4):
        model = DepthModel.load(path, provider="cpu", threads=1, parallel=parallel)
        runs.append(all_of(stream(images, model, keyframes=keyframes)))
    assert any(result.interpolated for result in runs[0])
    for first, *others in zip(*runs, strict=True):
        for other in others:
            np.testing.assert_array_equal(first.depth.values, other.depth.values)


def test_a_gap_of_one_frame_is_the_network_on_all(model: Watched) -> None:
    images = pan(12)
    exact = all_of(stream(images, model))
    found = all_of(stream(images, model, keyframes=Keyframes(0.5, audit=0, most=1)))
    for true, given in zip(exact, found, strict=True):
        np.testing.assert_array_equal(true.depth.values, given.depth.values)
        assert not given.interpolated


@pytest.mark.parametrize("count", [1, 2, 8, 9, 17])
def test_a_recording_may_end_anywhere_in_a_gap(model: Watched, count: int) -> None:
    found = all_of(stream(pan(count), model, keyframes=NO_AUDIT))
    assert [r.frame.index for r in found] == list(range(count))
    assert not found[-1].interpolated


def test_audits_are_counted_and_have_the_networks_depth(model: Watched) -> None:
    stats, images = Stats(), pan(40)
    exact = all_of(stream(images, model))
    found = all_of(stream(images, model, keyframes=Keyframes(0.02, audit=0.25), stats=stats))
    audited = [r for r in found if r.audit_error is not None]
    assert len(audited) == len(stats.audit_errors) >= 3
    for result in audited:
        assert not result.interpolated
        true = exact[result.frame.index].depth.values
        np.testing.assert_array_equal(result.depth.values, true)
    assert 0 < max(stats.audit_errors) < 0.02


def test_a_scene_cut_is_seen_and_no_depth_is_carried_over_it(model: Watched) -> None:
    images = [i // 4 for i in pan(11, seed=5)] + [255 - i // 4 for i in pan(11, seed=6)]
    stats = Stats()
    found = all_of(stream(images, model, keyframes=NO_AUDIT, stats=stats))
    assert [r.scene_cut for r in found] == [i == 11 for i in range(22)]
    assert stats.scene_cuts == 1
    assert [r.interpolated for r in found[9:13]] == [True, False, False, True]


def test_several_recordings_are_apart(model: Watched) -> None:
    sources = {"a": pan(21, seed=1), "b": pan(13, seed=2), "c": pan(30, seed=3)}
    alone = {
        name: all_of(stream(images, model, keyframes=NO_AUDIT)) for name, images in sources.items()
    }
    found: dict[str, list[Result]] = {name: [] for name in sources}
    for result in stream_many(sources, model, keyframes=NO_AUDIT):
        found[result.frame.stream].append(result)
    for name, results in found.items():
        assert [r.frame.index for r in results] == [r.frame.index for r in alone[name]]
        for one, other in zip(results, alone[name], strict=True):
            np.testing.assert_array_equal(one.depth.values, other.depth.values)


def test_pictures_that_do_not_change_are_not_even_carried(model: Watched) -> None:
    images = [image for image in pan(6, seed=4, start=3) for _ in range(5)]
    stats = Stats()
    found = all_of(
        stream(images, model, keyframes=NO_AUDIT, reuse=Reuse(threshold=0.5), stats=stats)
    )
    assert [r.frame.index for r in found] == list(range(30))
    assert stats.reused == 24
    for i, result in enumerate(found):
        assert result.reused == (i % 5 > 0)
        np.testing.assert_array_equal(result.depth.values, found[i - i % 5].depth.values)


def test_a_stride_takes_frames_before_gaps_are_made(model: Watched, tmp_path: Path) -> None:
    from helpers.files.clips import Clip, write_clip

    clip = write_clip(tmp_path / "clip.mp4", Clip(frames=40, size=(128, 96)))
    found = all_of(
        stream(clip, model, keyframes=Keyframes(0.9, audit=0), selection=Selection(stride=3))
    )
    assert len(found) == 14
    assert sum(not r.interpolated for r in found) == 3


def test_work_on_a_result_does_not_reach_later_ones(model: Watched) -> None:
    images = pan(30)
    untouched = all_of(stream(images, model, keyframes=NO_AUDIT))
    for result in stream(images, model, keyframes=NO_AUDIT):
        np.testing.assert_array_equal(
            result.depth.values, untouched[result.frame.index].depth.values
        )
        result.depth.values[:] = -1


def test_a_failure_inside_a_gap_ends_the_stream_at_its_frame(model: Watched) -> None:
    """Frames of the gap are tried alone then, and what can be had before it is given."""
    model.fails_at = 3
    given: list[int] = []
    results = stream(pan(40), model, keyframes=NO_AUDIT)
    with pytest.raises(InferenceError, match="out of order"):
        given.extend(result.frame.index for result in results)
    assert given == list(range(len(given)))
    assert len(given) >= 1


def test_a_stream_that_is_left_in_a_gap_ends(model: Watched) -> None:
    results = stream(pan(60), model, keyframes=NO_AUDIT)
    assert next(results).frame.index == 0
    assert next(results).frame.index == 1
    results.close()


def test_the_stabiliser_comes_after(model: Watched) -> None:
    found = all_of(stream(pan(20), model, keyframes=NO_AUDIT, stabilise=True))
    plain = all_of(stream(pan(20), model, keyframes=NO_AUDIT))
    np.testing.assert_array_equal(found[0].depth.values, plain[0].depth.values)
    assert any(
        not np.array_equal(a.depth.values, b.depth.values)
        for a, b in zip(found, plain, strict=True)
    )

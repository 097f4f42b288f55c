"""Live streams whose frames get depth by flow while the network infers behind them."""

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
    Keyframes,
    Result,
    SourceInfo,
    Stats,
    UsageError,
    stream,
    stream_many,
)
from depthrt.model.inference import Abort, Prediction
from depthrt.pipeline.live_keyframes import LiveStream
from depthrt.sources.base import Losses
from helpers.files.moving import SIZE, panned, texture
from helpers.models.small_model import build_model

pytestmark = pytest.mark.usefixtures("no_thread_is_left")

RATE = 25


class Camera:
    """Gives a picture whenever it is told to, with the time of a camera of 25 frames a second."""

    def __init__(self, name: str, images: list[NDArray[np.uint8]]) -> None:
        self.info = SourceInfo(name, SIZE, live=True)
        self.losses = Losses()
        self.go_on = threading.Semaphore(1)
        self._images, self._ended = images, threading.Event()

    def frames(self) -> Iterator[Frame]:
        for index, image in enumerate(self._images):
            while not (self.go_on.acquire(timeout=0.05) or self._ended.is_set()):
                pass
            if self._ended.is_set():
                return
            yield Frame(image, index, Fraction(index, RATE), captured_s=time.monotonic())

    def stop(self) -> None:
        self._ended.set()

    def close(self) -> None:
        self._ended.set()


class Network(DepthModel):
    """A model that waits to be let through before it infers, but for the first frame."""

    def hold(self) -> None:
        self.passes = threading.Semaphore(1)
        self.begun, self.fails = threading.Semaphore(0), False

    def predict(self, batch: NDArray[np.uint8], abort: Abort | None = None) -> Prediction:
        self.begun.release()
        while not self.passes.acquire(timeout=0.05):
            if abort is not None and abort.asked:
                raise InferenceError("ended")
        if self.fails:
            raise InferenceError("the network is out of order")
        return super().predict(batch, abort)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("models") / "wide.onnx", size=SIZE)


@pytest.fixture
def network(path: Path) -> Network:
    made = Network.load(path, provider="cpu", threads=1)
    assert isinstance(made, Network)
    made.hold()
    return made


def pan(count: int, seed: int = 1, step: float = 0.7) -> list[NDArray[np.uint8]]:
    scene = texture(seed)
    return [panned(scene, step * i) for i in range(count)]


def next_of(results: Iterator[Result], camera: Camera) -> Result:
    """The result of the camera's next frame."""
    camera.go_on.release()
    return next(results)


def error_of(result: Result, model: DepthModel) -> float:
    true = DepthModel.predict(model, _prepared(result)[None]).depth[0]
    spread = float(np.ptp(np.percentile(true, (2, 98))))
    return float(np.abs(result.depth.values - true).mean()) / spread


def _prepared(result: Result) -> NDArray[np.uint8]:
    return np.ascontiguousarray(result.frame.image.transpose(2, 0, 1))


def plain(path: Path) -> DepthModel:
    return DepthModel.load(path, provider="cpu", threads=1)


def test_frames_do_not_wait_for_the_network(network: Network, path: Path) -> None:
    camera, stats = Camera("cam", pan(30)), Stats()
    with stream(camera, network, keyframes=Keyframes(0.02), stats=stats) as results:
        first = next(results)
        assert not first.interpolated
        assert first.keyframe_age_s is None
        carried = [next_of(results, camera) for _ in range(6)]  # the network is held up
    assert [r.frame.index for r in carried] == [1, 2, 3, 4, 5, 6]
    assert all(r.interpolated for r in carried)
    ages = [r.keyframe_age_s for r in carried]
    assert ages == [pytest.approx(i / RATE) for i in range(1, 7)]
    assert stats.interpolated == 6
    assert stats.keyframe_ages_s.worst_s == pytest.approx(6 / RATE)
    for result in carried:
        assert error_of(result, plain(path)) < 0.03


def test_a_frame_that_was_inferred_behind_is_the_keyframe_from_then_on(network: Network) -> None:
    camera, stats = Camera("cam", pan(30)), Stats()
    with stream(camera, network, keyframes=Keyframes(0.02), stats=stats) as results:
        next(results)
        next_of(results, camera)
        network.begun.acquire(timeout=10)  # of the first frame
        assert network.begun.acquire(timeout=10)  # frame 1, in the background
        next_of(results, camera)
        network.passes.release()
        wait_for(lambda: len(stats.audit_errors) == 1)
        after = next_of(results, camera)
    assert after.frame.index == 3
    assert after.keyframe_age_s == pytest.approx(2 / RATE)
    assert 0 < stats.audit_errors[0] < 0.03


def test_a_new_scene_waits_for_the_network(network: Network) -> None:
    images = [image // 4 for image in pan(3, seed=5)] + [255 - image // 4 for image in pan(3, 6)]
    camera = Camera("cam", images)
    with stream(camera, network, keyframes=Keyframes(0.02)) as results:
        next(results)
        next_of(results, camera)
        next_of(results, camera)
        network.passes.release(2)  # what is under way, and the frame of the new scene
        cut = next_of(results, camera)
        after = next_of(results, camera)
    assert cut.scene_cut
    assert not cut.interpolated
    assert after.interpolated
    assert after.keyframe_age_s == pytest.approx(1 / RATE)


def test_an_error_in_the_background_ends_the_stream(network: Network) -> None:
    camera = Camera("cam", pan(30))
    with stream(camera, network, keyframes=Keyframes(0.02)) as results:
        next(results)
        network.fails = True
        next_of(results, camera)
        network.passes.release(9)  # and the camera gives no further frame
        with pytest.raises(InferenceError, match="frame 1: the network is out of order"):
            next(results)


def test_several_cameras_share_the_network(network: Network) -> None:
    cameras = {name: Camera(name, pan(8, seed)) for seed, name in enumerate("ab", 3)}
    network.passes.release(100)
    for camera in cameras.values():
        camera.go_on.release(100)
    found: dict[str, list[int]] = {"a": [], "b": []}
    stats: dict[str, Stats] = {}
    for result in stream_many(cameras, network, keyframes=Keyframes(0.02), stats=stats):
        found[result.frame.stream].append(result.frame.index)
    for name, indices in found.items():
        assert indices == sorted(indices)
        assert len(indices) + stats[name].dropped == 8


def test_a_recording_beside_a_camera_is_refused(network: Network) -> None:
    camera = Camera("cam", pan(2))
    sources = {"cam": camera, "clip": pan(3)}
    with pytest.raises(UsageError, match="clip is a recording"):
        stream_many(sources, network, keyframes=Keyframes(0.02))


def test_the_pace_follows_the_error() -> None:
    state = LiveStream(Keyframes(0.02))
    state.pace(0.2, error=0.04)
    assert state.interval_s == pytest.approx(0.1)  # at most twice as often
    state.pace(0.2, error=0.014)
    assert state.interval_s == pytest.approx(0.2)
    state.pace(0.2, error=0.0)
    assert state.interval_s == pytest.approx(0.3)
    state.pace(1.9, error=0.0)
    assert state.interval_s == 2.0  # never older, however little moves


def wait_for(condition: object, seconds: float = 10) -> None:
    end_s = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end_s
        time.sleep(0.01)

"""`WS /v1/stream?keyframes=`: depth by optical flow while the network infers behind it."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from depthrt.model.depth_model import DepthModel
from depthrt.temporal.keyframes import Keyframes
from depthrt.temporal.live_carry import LiveCarry
from depthrt.temporal.stabiliser import Stabiliser
from depthrt_serving.settings import Queueing
from helpers.files.moving import SIZE, panned, texture
from helpers.models.small_model import build_model
from helpers.web.served import Running, encoded, picture, serving, until

Frame = tuple[dict[str, Any], NDArray[np.float32]]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("wide") / "wide.onnx", size=SIZE)


@pytest.fixture(scope="module")
def running(file: Path) -> Iterator[Running]:
    with serving(file, alone=True) as found:
        yield found


@pytest.fixture(scope="module")
def model(file: Path) -> DepthModel:
    return DepthModel.load(file, threads=1)


def opened(running: Running, query: str = "keyframes=5%25") -> ClientConnection:
    host, port = running.place
    return connect(f"ws://{host}:{port}/v1/stream?format=npy&{query}", max_size=None)


def pan(count: int, seed: int = 1) -> list[NDArray[np.uint8]]:
    scene = texture(seed)
    return [panned(scene, 0.7 * number) for number in range(count)]


def ask(client: ClientConnection, image: NDArray[np.uint8]) -> Frame:
    client.send(encoded(image))
    message = client.recv(10)
    assert isinstance(message, bytes), message
    length = int.from_bytes(message[:4], "little")
    return json.loads(message[4 : 4 + length]), np.load(io.BytesIO(message[4 + length :]))


def error_of(found: NDArray[np.float32], true: NDArray[np.float32]) -> float:
    low, high = np.percentile(true, (2, 98))
    return float(np.abs(found - true).mean() / (high - low))


def test_frames_do_not_wait_for_the_network(running: Running, model: DepthModel) -> None:
    images = pan(6)
    with opened(running) as client:
        header, values = ask(client, images[0])
        assert (header["interpolated"], header["keyframe_age_ms"]) == (False, 0.0)
        assert np.array_equal(values, model(images[0]).values)
        with running.held():
            frames = [ask(client, image) for image in images[1:]]
    ages_ms = [header["keyframe_age_ms"] for header, _ in frames]
    assert ages_ms == sorted({*ages_ms})
    assert ages_ms[0] > 0
    for (header, values), image in zip(frames, images[1:], strict=True):
        assert (header["interpolated"], header["batch"], header["dropped"]) == (True, 0, 0)
        assert error_of(values, model(image).values) < 0.03


@pytest.mark.parametrize("query", ["keyframes=0.05", "keyframes=0.05&stabilise=1"])
def test_depth_is_that_of_the_runtime(running: Running, model: DepthModel, query: str) -> None:
    images = pan(5, seed=2)
    carry, steady = LiveCarry(Keyframes(0.05)), Stabiliser.of(model.spec)
    with opened(running, query) as client, running.held() as gate:
        gate.set()
        first = ask(client, images[0])
        gate.clear()
        frames = [first, *(ask(client, image) for image in images[1:])]
    for number, (image, (_, values)) in enumerate(zip(images, frames, strict=True)):
        pixels = np.ascontiguousarray(image.transpose(2, 0, 1))
        if number == 0:
            (made,) = model.predict(pixels[None])
            carry.learn(pixels, 0.0, made)
        else:
            estimate = carry.carry(pixels, float(number))
            assert estimate is not None
            made = estimate.made
        expected = made.depth.copy()
        if "stabilise" in query:
            expected = steady.update(expected, pixels)
        assert np.array_equal(values, expected)


def test_what_was_inferred_behind_is_the_keyframe_from_then_on(running: Running) -> None:
    images = pan(40, seed=3)
    headers = []
    with opened(running) as client:
        for image in images:
            headers.append(ask(client, image)[0])
            if headers[-1].get("audit_error") is not None:
                break
    assert headers[0]["audit_error"] is None
    assert 0 < headers[-1]["audit_error"] < 0.05
    assert headers[-1]["interpolated"]


def test_what_the_network_sees_is_counted_and_watched(running: Running) -> None:
    before = running.metric("depthrt_images_total")
    seen: list[str] = []
    saw = running.service.deployments.stable.saw
    running.service.deployments.stable.saw = lambda deployment, stream, computed, depths: (
        seen.append(stream)
    )
    try:
        with opened(running, "keyframes=5%25&name=front") as client:
            for image in pan(12, seed=4):
                ask(client, image)
    finally:
        running.service.deployments.stable.saw = saw
    until(lambda: running.service.batcher.waiting == running.service.batcher.running == 0)
    images = running.metric("depthrt_images_total") - before
    assert 2 <= images < 12
    assert seen == ["front"] * len(seen)
    assert images - 1 <= len(seen) <= images  # one may have been let go at the end


def test_a_new_scene_waits_for_the_network(running: Running, model: DepthModel) -> None:
    with opened(running) as client:
        for image in pan(3, seed=5):
            ask(client, image // 4)
        new = 255 - pan(1, seed=6)[0] // 4
        header, values = ask(client, new)
        assert not header["interpolated"]
        assert np.array_equal(values, model(new).values)
        other = picture(1, (60, 90))  # of another size, yet the network's is the same
        assert ask(client, other)[0]["image_size"] == [60, 90]


def test_what_the_queue_refuses_is_said_and_the_frames_go_on(file: Path) -> None:
    images = pan(8, seed=7)
    with (
        serving(file, alone=True, queueing=Queueing(images=1, deadline_s=30.0)) as running,
        ThreadPoolExecutor(4) as others,
        opened(running) as client,
    ):
        ask(client, images[0])
        ask(client, images[1])
        until(lambda: running.service.batcher.waiting == running.service.batcher.running == 0)
        with running.held():
            asked = [others.submit(running.ask, "/v1/depth", encoded(picture()))]
            until(lambda: running.service.batcher.running == 1)
            asked.append(others.submit(running.ask, "/v1/depth", encoded(picture())))
            running.until_waiting(1)
            headers = []  # until a keyframe is due again
            for image in itertools.islice(itertools.cycle(images[2:]), 400):
                headers.append(ask(client, image)[0])
                if "keyframe_refused" in headers[-1]:
                    break
        assert [each.result().status for each in asked] == [200, 200]
        assert all(header["interpolated"] for header in headers)
        assert "too many images wait" in headers[-1]["keyframe_refused"]


def test_who_leaves_takes_the_frame_behind_along(file: Path) -> None:
    images = pan(3, seed=8)
    with serving(file, alone=True) as running, ThreadPoolExecutor(1) as others:
        with opened(running) as client:
            ask(client, images[0])
            with running.held():
                waiting = others.submit(running.ask, "/v1/depth", encoded(picture()))
                until(lambda: running.service.batcher.running == 1)
                assert ask(client, images[1])[0]["interpolated"]
                running.until_waiting(1)
                client.close()
                running.until_waiting(0)
        assert waiting.result().status == 200
        assert running.metric("depthrt_images_total") == 2


def test_many_connections_each_have_a_keyframe_of_their_own(
    running: Running, model: DepthModel
) -> None:
    def watch(seed: int) -> list[tuple[float, bool]]:
        with opened(running, "keyframes=5%&stabilise=0") as client:
            images = pan(12, seed)
            frames = [ask(client, image) for image in images]
        return [
            (error_of(values, model(image).values), header["interpolated"])
            for image, (header, values) in zip(images, frames, strict=True)
        ]

    with ThreadPoolExecutor(8) as clients:
        watched = list(clients.map(watch, range(10, 18)))
    for frames in watched:
        assert max(error for error, _ in frames) < 0.05
        assert not frames[0][1]
        assert sum(interpolated for _, interpolated in frames) >= 10
    until(lambda: running.service.batcher.waiting == 0)


def test_a_bad_frame_is_said_and_the_keyframe_stays(running: Running) -> None:
    images = pan(3, seed=9)
    with opened(running) as client:
        ask(client, images[0])
        client.send(encoded(images[1])[:300])
        assert json.loads(client.recv(10))["error"]["code"] == "unusable"
        header, _ = ask(client, images[2])
        assert (header["frame"], header["interpolated"]) == (2, True)


@pytest.mark.parametrize("said", ["5x", "-1", "200%25", ""])
def test_what_is_no_share_is_refused(running: Running, said: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        opened(running, f"keyframes={said}")
    response = refused.value.response
    assert response.status_code == 400
    error = json.loads(response.body)["error"]
    assert "is not a share such as 5% or 0.05" in error["message"]
    assert error["request_id"] == response.headers["x-request-id"]

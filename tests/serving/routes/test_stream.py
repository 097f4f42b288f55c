"""`WS /v1/stream`, with a real WebSocket client."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

import depthrt
from depthrt.model.depth_model import DepthModel
from depthrt_serving.settings import Limits
from helpers.web.served import Running, encoded, picture, serving, until


def opened(running: Running, query: str = "format=npy", **options: Any) -> ClientConnection:
    host, port = running.place
    return connect(f"ws://{host}:{port}/v1/stream?{query}", max_size=None, **options)


def parted(message: str | bytes) -> tuple[dict[str, Any], bytes]:
    """Header and payload of a message."""
    assert isinstance(message, bytes), message
    length = int.from_bytes(message[:4], "little")
    return json.loads(message[4 : 4 + length]), message[4 + length :]


def depth_of(payload: bytes) -> NDArray[np.float32]:
    return np.asarray(np.load(io.BytesIO(payload)))


def test_frames_become_depth(running: Running, model: DepthModel) -> None:
    with opened(running) as client:
        for number in range(3):
            image = picture(number)
            client.send(encoded(image))
            header, payload = parted(client.recv(10))
            assert (header["frame"], header["dropped"], header["format"]) == (number, 0, "npy")
            assert header["image_size"] == [90, 120]
            assert np.array_equal(depth_of(payload), model(image).values)


def test_16_bit_png_says_its_scale(running: Running, model: DepthModel) -> None:
    import cv2

    image = picture(3)
    with opened(running, "") as client:
        client.send(encoded(image, ".webp"))
        header, payload = parted(client.recv(10))
    codes = cv2.imdecode(np.frombuffer(payload, np.uint8), cv2.IMREAD_UNCHANGED)
    values = header["offset"] + header["step"] * codes.astype(np.float64)
    seen = depthrt.sources.images.decode_image(  # type: ignore[attr-defined]
        np.frombuffer(encoded(image, ".webp"), np.uint8), "frame"
    )
    assert np.abs(values - model(seen).values).max() <= header["step"] / 2


def test_the_newest_frame_is_kept(tiny: Path, model: DepthModel) -> None:
    with serving(tiny, alone=True) as running, opened(running) as client:
        with running.held():
            client.send(encoded(picture(0)))
            until(lambda: running.service.batcher.running == 1)
            for number in range(1, 10):
                client.send(encoded(picture(number)))
            until(lambda: running.metric("depthrt_frames_dropped_total") == 8)
        first, second = (parted(client.recv(10)) for _ in range(2))
        assert [(h["frame"], h["dropped"]) for h, _ in (first, second)] == [(0, 8), (9, 8)]
        assert np.array_equal(depth_of(second[1]), model(picture(9)).values)


def test_a_connection_has_a_stabiliser_of_its_own(running: Running, model: DepthModel) -> None:
    images = [np.clip(picture(1).astype(int) + 12 * (n % 2), 0, 255) for n in range(6)]
    frames = [image.astype(np.uint8) for image in images]

    def depths(query: str) -> list[NDArray[np.float32]]:
        found = []
        with opened(running, query) as client:
            for frame in frames:
                client.send(encoded(frame))
                found.append(depth_of(parted(client.recv(10))[1]))
        return found

    plain, steady = depths("format=npy"), depths("format=npy&stabilise=1")
    again = depths("format=npy&stabilise=1")
    assert all(np.array_equal(a, b) for a, b in zip(steady, again, strict=True))
    assert np.array_equal(steady[0], plain[0])

    def flicker(maps: list[NDArray[np.float32]]) -> float:
        return float(np.mean([np.abs(a - b).mean() for a, b in pairwise(maps)]))

    assert flicker(steady) < 0.6 * flicker(plain)


def test_a_new_scene_forgets_the_old_one(running: Running, model: DepthModel) -> None:
    with opened(running, "format=npy&stabilise=1") as client:
        for image, cut in ((picture(1), False), (255 - picture(1) // 3, True)):
            client.send(encoded(image))
            header, payload = parted(client.recv(10))
            assert header["scene_cut"] is cut
            assert np.array_equal(depth_of(payload), model(image).values)


def test_a_bad_frame_is_said_and_the_stream_goes_on(running: Running) -> None:
    with opened(running) as client:
        for content, code in ((b"", "bad_request"), (b"no picture", "unknown_type")):
            client.send(content)
            said = json.loads(client.recv(10))
            assert said["error"]["code"] == code
        torn = encoded(picture())[:200]
        client.send(torn)
        assert json.loads(client.recv(10))["error"]["code"] == "unusable"
        client.send(encoded(picture()))
        assert parted(client.recv(10))[0]["frame"] == 3


def test_text_ends_the_connection(running: Running) -> None:
    with opened(running) as client:
        client.send("hello")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1003


def test_a_message_beyond_the_limit_ends_the_connection(tiny: Path) -> None:
    with serving(tiny, limits=Limits(body_bytes=1000)) as running, opened(running) as client:
        client.send(bytes(1001))
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


def test_frames_count_among_the_bytes_in_memory(tiny: Path) -> None:
    frame = encoded(picture())
    with serving(tiny, alone=True) as running, opened(running) as client:
        service = running.service
        with running.held():
            client.send(frame)
            until(lambda: service.batcher.running == 1)
            for _ in range(3):  # of which one waits
                client.send(frame)
            until(lambda: running.metric("depthrt_frames_dropped_total") == 2)
            assert service.held_bytes == 2 * len(frame)
            service.held_bytes += service.limits.held_bytes  # of somebody else
            client.send(frame)
            said = json.loads(client.recv(10))
            assert (said["frame"], said["error"]["code"]) == (4, "memory")
            service.held_bytes -= service.limits.held_bytes
        assert [parted(client.recv(10))[0]["frame"] for _ in range(2)] == [0, 3]
        until(lambda: service.held_bytes == 0)
        with running.held():
            client.send(frame)
            until(lambda: service.batcher.running == 1)
            client.send(frame)
            until(lambda: service.held_bytes == 2 * len(frame))
            client.close()
            until(lambda: service.held_bytes == 0)


def test_who_may_open_a_stream(tiny: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("correct-horse\n")
    with serving(tiny, token_file=token) as running:
        for options in (
            {},
            {"additional_headers": {"Authorization": "Bearer wrong-horse"}},
            {"subprotocols": ["depthrt", "bearer.wrong-horse"]},
        ):
            with pytest.raises(InvalidStatus) as refused:
                opened(running, **options)
            assert refused.value.response.status_code == 401
            assert refused.value.response.headers["www-authenticate"].startswith("Bearer")
        for options in (
            {"additional_headers": {"Authorization": "Bearer correct-horse"}},
            {"subprotocols": ["depthrt", "bearer.correct-horse"]},
        ):
            with opened(running, **options) as client:
                client.send(encoded(picture()))
                assert parted(client.recv(10))[0]["frame"] == 0
                assert client.subprotocol in (None, "depthrt")


def test_a_page_of_another_site_may_not(running: Running) -> None:
    with pytest.raises(InvalidStatus) as refused:
        opened(running, origin="http://evil.example")
    assert refused.value.response.status_code == 403
    host, port = running.place
    with opened(running, origin=f"http://{host}:{port}") as client:
        client.send(encoded(picture()))
        assert parted(client.recv(10))[0]["frame"] == 0


def test_who_leaves_takes_the_frame_along(tiny: Path) -> None:
    with serving(tiny, alone=True) as running, ThreadPoolExecutor(1) as others, running.held():
        waiting = others.submit(running.ask, "/v1/depth", encoded(picture()))
        until(lambda: running.service.batcher.running == 1)
        with opened(running) as leaving:
            leaving.send(encoded(picture()))
            running.until_waiting(1)
        running.until_waiting(0)
        assert running.metric("depthrt_abandoned_images_total") == 1
    assert waiting.result().status == 200
    assert running.metric("depthrt_images_total") == 1

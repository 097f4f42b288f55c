"""Too much work: what is refused, what is let go, and what is kept."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from depthrt.model.depth_model import DepthModel
from depthrt_serving.server.server import _taken_of
from depthrt_serving.settings import Limits, Queueing
from helpers.models.small_model import build_slow_model
from helpers.web.served import Reply, Running, encoded, head, picture, serving, until

BODY = encoded(picture())


def post(running: Running, *more: str, body: bytes = BODY) -> socket.socket:
    """A request whose answer is not waited for."""
    return running.send(head("/v1/depth", len(body), *more) + body)


def wait_seconds(reply: Reply) -> float:
    """When the server says to come back; both headers agree."""
    exact_ms = int(reply.headers["depthrt-retry-after-ms"])
    assert int(reply.headers["retry-after"]) == max(1, -(-exact_ms // 1000))
    return exact_ms / 1000


def test_a_full_queue_is_429_and_a_place_is_free_later(tiny: Path) -> None:
    queueing = Queueing(images=3, deadline_s=30)
    with (
        serving(tiny, alone=True, queueing=queueing) as running,
        ThreadPoolExecutor(4) as clients,
    ):
        with running.held():
            first = clients.submit(running.ask, "/v1/depth", BODY)
            until(lambda: running.service.batcher.running == 1)
            others = [clients.submit(running.ask, "/v1/depth", BODY) for _ in range(3)]
            running.until_waiting(3)
            refused = running.ask("/v1/depth", BODY)
            assert (refused.status, refused.error["code"]) == (429, "queue_full")
            rate = running.service.batcher.estimate.rate
            assert wait_seconds(refused) == pytest.approx(1 / rate, abs=0.0011)
            assert running.ask("/health/ready").document["waiting_images"] == 3
            assert b"depthrt_queue_images 3.0" in running.ask("/metrics").content
        assert [each.result().status for each in (first, *others)] == [200] * 4
        assert running.ask("/v1/depth", BODY).status == 200
        assert running.metric("depthrt_rejected_total", reason="queue_full") == 1


def test_what_would_be_late_is_503_before_it_is_computed(tiny: Path) -> None:
    with serving(tiny, alone=True) as running, ThreadPoolExecutor(1) as clients:
        with running.held():
            first = clients.submit(running.ask, "/v1/depth", BODY)
            until(lambda: running.service.batcher.running == 1)
            late = running.ask("/v1/depth", BODY, {"Depthrt-Deadline-Ms": "150"})
            assert (late.status, late.error["code"]) == (503, "late")
            assert wait_seconds(late) > 0
        assert first.result().status == 200
        assert running.metric("depthrt_images_total") == 1
        impossible = running.ask("/v1/depth", BODY, {"Depthrt-Deadline-Ms": "0.001"})
        assert impossible.status == 503
        for wrong in ("soon", "0", "-1", "inf", "nan", "1e9"):
            reply = running.ask("/v1/depth", BODY, {"Depthrt-Deadline-Ms": wrong})
            assert reply.status == 400, wrong
        assert running.metric("depthrt_images_total") == 1


def test_clients_that_hang_up_take_their_work_along(tiny: Path) -> None:
    with serving(tiny, alone=True) as running, ThreadPoolExecutor(1) as clients:
        with running.held():
            first = clients.submit(running.ask, "/v1/depth", BODY)
            until(lambda: running.service.batcher.running == 1)
            leaving = [post(running) for _ in range(20)]
            running.until_waiting(20)
            for client in leaving:
                client.close()
            running.until_waiting(0)
        assert first.result().status == 200
        assert running.ask("/v1/depth", BODY).status == 200
        assert running.metric("depthrt_images_total") == 2
        assert running.metric("depthrt_abandoned_images_total") == 20
        assert running.metric("depthrt_wasted_images_total") == 0


def test_a_client_with_another_token_does_not_wait_for_all_of_a_greedy_one(
    tiny: Path, tmp_path: Path
) -> None:
    file = tmp_path / "tokens"
    file.write_text("greedy-one\nmodest-one\n")
    tokens = {name: f"Authorization: Bearer {name}-one" for name in ("greedy", "modest")}
    queueing = Queueing(batch=1, images=100, deadline_s=30)
    with serving(tiny, alone=True, token_file=file, queueing=queueing) as running:
        with running.held():
            greedy = [post(running, tokens["greedy"]) for _ in range(30)]
            running.until_waiting(29)
            modest = post(running, tokens["modest"])
            running.until_waiting(30)
        assert b"200 OK" in modest.recv(100)
        served = running.metric("depthrt_images_total")
        assert served >= 2
        for client in (*greedy, modest):
            assert client is modest or b"200 OK" in client.recv(100)
            client.close()


def test_slow_senders_and_large_bodies_are_cut(tiny: Path) -> None:
    limits = Limits(body_bytes=10_000, body_s=0.3, header_s=0.3, connections=8)
    with serving(tiny, limits=limits) as running:
        declared = running.ask("/v1/depth", bytes(10_001))
        assert (declared.status, declared.error["code"]) == (413, "too_large")
        chunked = running.send(
            b"POST /v1/depth HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"2000\r\n" + bytes(0x2000) + b"\r\n2000\r\n" + bytes(0x2000) + b"\r\n0\r\n\r\n"
        )  # fmt: skip
        assert b" 413 " in chunked.recv(1000)
        slow = running.send(head("/v1/depth", 5000) + b"some")
        assert b" 408 " in slow.recv(1000)
        head_only = running.send(b"POST /v1/depth HTTP/1.1\r\nHost: loc")
        assert b" 408 " in head_only.recv(1000)
        assert head_only.recv(1000) == b""
        endless = running.send(b"GET / HTTP/1.1\r\n" + b"X: " + bytes([65]) * 70_000)
        assert b" 431 " in endless.recv(1000)
        for client in (chunked, slow, head_only, endless):
            client.close()
        assert running.ask("/health/live").status == 200
        assert running.service.held_bytes == 0


def test_a_client_that_takes_no_answer_is_cut(tiny: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1600, 1600, 3), np.uint8)
    body = encoded(noise)
    with serving(tiny, limits=Limits(answer_s=0.3)) as running:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(running.place)
        path = "/v1/depth?size=source"  # 10 MB
        client.sendall(head(path, len(body), "Accept: application/x-npy") + body)
        until(lambda: running.metric("depthrt_images_total") == 1)
        until(lambda: not running.server.server_state.connections)
        client.close()
        assert running.ask("/health/live").status == 200


def test_connections_are_limited(tiny: Path) -> None:
    with serving(tiny, limits=Limits(connections=3)) as running:
        held = [
            running.send(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n") for _ in "abc"
        ]
        assert all(b"200 OK" in client.recv(1000) for client in held)
        over = running.send(b"")
        answer = over.recv(1000)
        assert b" 503 " in answer
        assert b"retry-after: 1" in answer
        assert (
            json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "too_many_connections"
        )
        for client in (*held, over):
            client.close()
        until(lambda: not running.server.server_state.connections)
        assert running.ask("/health/live").status == 200


def test_a_picture_with_too_many_pixels_is_not_decoded(tiny: Path) -> None:
    huge = np.zeros((400, 500, 3), np.uint8)
    with serving(tiny, limits=Limits(pixels=199_999)) as running:
        for suffix in (".png", ".jpg", ".webp"):
            reply = running.ask("/v1/depth", encoded(huge, suffix))
            assert (reply.status, reply.error["code"]) == (413, "too_large")
            assert "500x400" in reply.error["message"]
        raw = running.ask(
            "/v1/depth?width=500&height=400", huge.tobytes(),
            {"Content-Type": "application/octet-stream"},
        )  # fmt: skip
        assert raw.status == 413
        assert running.ask("/v1/depth", encoded(huge[1:])).status == 200
        assert running.metric("depthrt_images_total") == 1


def started(*arguments: object) -> tuple[subprocess.Popen[str], tuple[str, int]]:
    """`depthrt serve` as a process, once it answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "depthrt", "serve", "--port", "0", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if " is served at http://" in line:
            host, _, port = line.strip().rpartition("/")[2].rpartition(":")
            return process, (host, int(port))
    raise AssertionError(f"it ended with {process.wait()}")


def test_sigterm_answers_what_was_accepted(tmp_path: Path) -> None:
    slow = build_slow_model(tmp_path / "slow.onnx", work=8)
    process, place = started(slow, "--threads", 1, "--deadline-ms", 60000)
    clients = [socket.create_connection(place, timeout=30) for _ in range(12)]
    for client in clients:
        client.sendall(head("/v1/depth", len(BODY), "Accept: application/x-npy") + BODY)
    assert b"200 OK" in clients[0].recv(4096, socket.MSG_PEEK)
    process.send_signal(signal.SIGTERM)
    expected = DepthModel.load(slow)(picture()).values.tobytes()
    for client in clients:
        answer = b"".join(iter(lambda client=client: client.recv(1 << 16), b""))
        first, _, content = answer.partition(b"\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 200 OK")
        assert content.endswith(expected)
        client.close()
    log, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in log + said
    assert sum(json.loads(line).get("status") == 200 for line in log.splitlines()) == 12
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(place, timeout=5)


def test_connections_that_wait_are_taken_when_the_socket_is_closed() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=10)
    place = listener.getsockname()
    waiting = [socket.create_connection(place, timeout=5) for _ in range(3)]
    taken = _taken_of(listener)
    assert [each.getpeername() for each in taken] == [each.getsockname() for each in waiting]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(place, timeout=5)
    for each in (*taken, *waiting):
        each.close()


def test_a_second_sigterm_ends_at_once(tmp_path: Path) -> None:
    slow = build_slow_model(tmp_path / "slow.onnx", work=8)
    process, place = started(slow, "--threads", 1, "--deadline-ms", 600000)
    clients = [socket.create_connection(place, timeout=30) for _ in range(60)]
    for client in clients:
        client.sendall(head("/v1/depth", len(BODY)) + BODY)
    assert b"200 OK" in clients[0].recv(4096)
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    assert any('"event": "ending"' in line for line in process.stdout)
    start_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    log, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert '"at_once": true' in log
    assert "Traceback" not in log + said
    assert time.monotonic() - start_s < 20  # sixty images take longer on this model
    for client in clients:
        client.close()

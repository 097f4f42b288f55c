"""Requests that are torn, mutated or nonsense: no 5xx but 503, no crash, nothing kept."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from depthrt_serving.pictures.picture_size import picture_size
from depthrt_serving.settings import Limits, Queueing
from experiments.serving.mutations import mutated
from helpers.web.served import Running, encoded, picture, serving

LETTERS = string.ascii_letters + string.digits + "!$',;:@%*()[]~-._/?"
HEAD = b"POST /v1/depth HTTP/1.1\r\nHost: localhost\r\n"
UPGRADE = b"Connection: upgrade\r\nUpgrade: "


@pytest.fixture(scope="module")
def running(tiny: Path) -> Iterator[Running]:
    limits = Limits(body_s=2, header_s=2, pixels=2_000_000)
    with serving(tiny, limits=limits, queueing=Queueing(deadline_s=5)) as found:
        yield found


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_mutated_pictures(running: Running, suffix: str) -> None:
    content, rng = encoded(picture(1), suffix), random.Random(7)
    statuses = {running.ask("/v1/depth", mutated(content, rng)).status for _ in range(80)}
    assert statuses <= {200, 400, 413, 415, 422}
    assert {200, 422} & statuses
    assert running.ask("/v1/depth", content).status == 200


def test_sizes_of_mutated_heads_never_fail() -> None:
    rng = random.Random(5)
    for suffix in (".jpg", ".png", ".webp"):
        content = encoded(picture(1), suffix)
        assert picture_size(content) == (90, 120)
        for length in range(0, 400):
            assert picture_size(content[:length]) in (None, (90, 120))
        for _ in range(500):
            size = picture_size(mutated(content, rng))
            assert size is None or all(0 <= side < 2**32 for side in size)


def test_the_size_in_the_head_of_a_webp_of_every_kind() -> None:
    import cv2

    image = picture(2, (37, 53))
    for quality in (20, 101):  # lossy, lossless
        made, content = cv2.imencode(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, quality])
        assert made
        assert picture_size(content.tobytes()) == (37, 53)
    made, content = cv2.imencode(".webp", cv2.cvtColor(image, cv2.COLOR_BGR2BGRA))
    assert made
    assert picture_size(content.tobytes()) == (37, 53)


def test_nonsense_questions(running: Running) -> None:
    rng = random.Random(3)
    names = ["at", "box", "view", "size", "colormap", "width", "height", "format", "x"]
    body = encoded(picture())
    for _ in range(120):
        values = ["".join(rng.choices(LETTERS, k=rng.randrange(9))) for _ in range(3)]
        pairs = [f"{rng.choice(names)}={value}" for value in values[: rng.randrange(4)]]
        query = "&".join(pairs)
        headers = {
            "Accept": rng.choice(
                ["*/*", "image/png", ";;q=,", "a/b;q=x", "application/json;q=2", ""]
            ),
            "Content-Type": rng.choice(
                [
                    "",
                    "application/octet-stream",
                    "multipart/form-data",
                    "multipart/form-data; boundary=x",
                ]
            ),
            "Depthrt-Deadline-Ms": rng.choice(["1000", "1e3", "", "ten"]),
        }
        reply = running.ask(f"/v1/depth?{query}", body, headers)
        assert reply.status in (200, 400, 406, 413, 415, 422), (query, headers, reply.content)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/9.9\r\n\r\n",
        b"\0\1\2\3\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v1/clips/%00%ff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"DELETE /v1/clips/../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"BREW /v1/depth HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n" + UPGRADE + b"websocket\r\n\r\n",
        b"GET /v1/depth HTTP/1.1\r\nHost: localhost\r\n" + UPGRADE + b"h2c\r\n\r\n",
    ],
)
def test_broken_requests(running: Running, request_bytes: bytes) -> None:
    with running.send(request_bytes) as client:
        answer = client.recv(4096)
    assert status_of(answer) in range(400, 500), answer
    assert running.ask("/health/live").status == 200


def status_of(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 "), answer
    return int(answer[9:12])


def test_nothing_is_left_of_all_that(running: Running) -> None:
    assert running.service.held_bytes == 0
    assert running.service.batcher.waiting == 0
    assert running.service.batcher.running == 0
    assert len(running.service.clips) == 0

"""The preview: real sockets, several viewers, none of which holds up the run."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import cv2
import numpy as np
import pytest

from depthrt import DepthModel, Frame, Result, TargetError, stream
from depthrt.depth import Depth
from depthrt.sinks.preview.sink import PreviewSink
from helpers.commands import outcome, spawn
from helpers.files.clips import picture

MakeClip = Callable[..., Path]
SIZE = (96, 128)


def result(number: int, name: str = "front", size: tuple[int, int] = SIZE) -> Result:
    """A moving picture over depth that grows to the right."""
    image = picture(number, size)
    values = np.tile(np.linspace(1, 9, 16, dtype=np.float32), (12, 1))
    frame = Frame(image, number, Fraction(number, 10), name)
    return Result(frame, Depth(values, "depth", "m", size), (1.0, 9.0), False)


@pytest.fixture
def sink() -> Iterator[PreviewSink]:
    opened = PreviewSink("0", "tiny on cpu", "gray", lambda name: 3 if name == "front" else 0)
    yield opened
    opened.close(complete=True)


def get(sink: PreviewSink, path: str, host: str | None = None) -> tuple[int, bytes]:
    place = urlsplit(sink.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def figures(sink: PreviewSink) -> dict[str, Any]:
    status, content = get(sink, "/figures.json")
    assert status == 200
    document = json.loads(content)
    assert isinstance(document, dict)
    return document


def parts(sink: PreviewSink, number: int = 0) -> Iterator[np.ndarray]:
    """The pictures of a motion JPEG stream, by the letter of multipart/x-mixed-replace."""
    place = urlsplit(sink.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
    connection.request("GET", f"/stream/{number}.mjpg")
    answer = connection.getresponse()
    kind, _, boundary = (answer.getheader("Content-Type") or "").partition("; boundary=")
    assert kind == "multipart/x-mixed-replace"
    while answer.readline() == f"--{boundary}\r\n".encode():
        lines = iter(lambda: answer.readline().decode().strip(), "")
        fields = dict(line.split(": ") for line in lines)
        if not fields:
            break  # the run has ended
        assert fields["Content-Type"] == "image/jpeg"
        content = np.frombuffer(answer.read(int(fields["Content-Length"])), np.uint8)
        yield cv2.imdecode(content, cv2.IMREAD_COLOR)
        assert answer.readline() == b"\r\n"
    connection.close()


def test_the_page_and_its_figures(sink: PreviewSink) -> None:
    status, page = get(sink, "/")
    assert status == 200
    assert b"<title>depthrt preview</title>" in page
    assert figures(sink)["streams"] == []
    for number in range(5):
        sink.write(result(number))
    sink.write(result(7, "yard", (48, 64)))
    front, yard = figures(sink)["streams"]
    assert (front["stream"], front["frames"], front["index"], front["dropped"]) == (
        "front",
        5,
        4,
        3,
    )
    assert (front["time_s"], front["height"], front["width"]) == (0.4, *SIZE)
    assert front["depth"]["min"] == 1.0
    assert front["depth"]["max"] == 9.0
    assert front["unit"] == "m"
    assert (yard["stream"], yard["frames"], yard["dropped"]) == ("yard", 1, 0)
    assert figures(sink)["model"] == "tiny on cpu"


def test_a_picture_shows_image_and_depth_side_by_side(sink: PreviewSink) -> None:
    sink.write(result(3))
    status, content = get(sink, "/frame/0.jpg")
    assert status == 200
    seen = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert seen.shape == (SIZE[0], 2 * SIZE[1], 3)
    assert np.abs(seen[:, : SIZE[1]].astype(int) - picture(3, SIZE)).mean() < 6
    depth = seen[:, SIZE[1] + 2 :].mean(axis=(0, 2))
    assert depth[:16].mean() > 230  # near on the left is bright
    assert depth[-16:].mean() < 25


def test_large_pictures_are_shown_small(sink: PreviewSink) -> None:
    sink.write(result(0, size=(1080, 1920)))
    _, content = get(sink, "/frame/0.jpg")
    assert cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR).shape == (360, 1280, 3)


def test_what_is_not_there_is_404(sink: PreviewSink) -> None:
    sink.write(result(0))
    digits = "9" * 5000
    for path in (
        f"/frame/{digits}.jpg",
        f"/figures.json?seen={digits}",
        "/frame/1.jpg",
        "/stream/4.mjpg",
        "/frame/x.jpg",
        "/etc/passwd",
        "/frame/",
    ):
        assert get(sink, path)[0] == 404


def test_other_sites_cannot_reach_it_by_another_name(sink: PreviewSink) -> None:
    assert get(sink, "/figures.json", host="evil.example:8000")[0] == 403
    assert get(sink, "/figures.json", host="localhost:8000")[0] == 200


def test_several_viewers_see_the_run_and_a_stuck_one_holds_up_nobody(
    sink: PreviewSink, make_clip: MakeClip, model: DepthModel
) -> None:
    results = list(stream(make_clip(frames=40, size=SIZE), model))
    sink.write(results[0])
    stuck = socket.create_connection((urlsplit(sink.url).hostname, urlsplit(sink.url).port))
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.sendall(b"GET /stream/0.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")  # and never reads
    seen: list[list[np.ndarray]] = [[], []]

    def watch(kept: list[np.ndarray]) -> None:
        for shown in parts(sink):
            kept.append(shown)

    viewers = [threading.Thread(target=watch, args=(kept,)) for kept in seen]
    for viewer in viewers:
        viewer.start()
    deadline_s, number = time.monotonic() + 30, 0
    while min(map(len, seen)) < 8:
        assert time.monotonic() < deadline_s
        assert sink.write(results[number % len(results)])
        number += 1
        time.sleep(0.005)
    sink.close(complete=True)
    for viewer in viewers:
        viewer.join(timeout=10)
        assert not viewer.is_alive()
    stuck.close()
    for kept in seen:
        assert {shown.shape for shown in kept} == {(SIZE[0], 2 * SIZE[1], 3)}
        assert any((kept[0] != other).any() for other in kept[1:])
    assert len(seen[0]) <= number  # the newest, not all


def test_nothing_is_drawn_while_nobody_looks(
    sink: PreviewSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    import depthrt.sinks.preview.sink as module

    real = module._draw
    monkeypatch.setattr(module, "_draw", lambda *given: drawn.append(1) or real(*given))
    monkeypatch.setattr(module, "_WANTED_S", 0.3)
    sink.write(result(0))  # the first is drawn, so that a viewer sees something at once
    get(sink, "/frame/0.jpg")
    time.sleep(0.05)
    sink.write(result(1))  # somebody looked a moment ago
    assert len(drawn) == 2
    time.sleep(0.4)
    for number in range(2, 6):
        time.sleep(0.05)
        sink.write(result(number))
    assert len(drawn) == 2


def test_the_rate_is_that_of_the_last_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    import depthrt.sinks.preview.sink as module

    channel = module._Channel(0)
    assert channel.figures()["rate_fps"] is None
    channel.times_s.extend([3.0, 3.04, 3.12, 3.2])
    assert channel.figures()["rate_fps"] == 15.0


def test_pictures_are_not_kept_by_browsers(sink: PreviewSink) -> None:
    sink.write(result(0))
    for path in ("frame/0.jpg", "figures.json", "stream/0.mjpg"):
        with urlopen(sink.url + path, timeout=10) as answer:
            assert answer.headers["Cache-Control"] == "no-store"


def test_a_preview_by_ipv6() -> None:
    try:
        opened = PreviewSink("[::1]:0", "tiny", "gray", lambda name: 0)
    except TargetError as error:
        assert "choose another host" in str(error)  # noqa: PT017
        pytest.skip("this machine has no IPv6")
    with urlopen(f"{opened.url}figures.json", timeout=10) as answer:
        assert json.load(answer)["model"] == "tiny"
    opened.close(complete=True)


def test_a_port_in_use_is_a_sentence(sink: PreviewSink) -> None:
    port = urlsplit(sink.url).port
    with pytest.raises(TargetError, match=f"--preview {port} cannot be opened .*another port"):
        PreviewSink(str(port), "tiny", "gray", lambda name: 0)


def test_a_run_is_watched_from_another_process(make_clip: MakeClip, model_path: Path) -> None:
    sources = [make_clip(size=SIZE), make_clip()]
    process = spawn("run", *sources, "-m", model_path, "--preview", 0)
    assert process.stderr is not None
    said = process.stderr.readline()
    assert said.startswith("depthrt: preview at http://127.0.0.1:")
    url = said.split()[-1]
    deadline_s, shown = time.monotonic() + 30, list[dict[str, Any]]()
    while len(shown) < 2:
        assert time.monotonic() < deadline_s
        with urlopen(f"{url}figures.json", timeout=10) as answer:
            shown = json.load(answer)["streams"]
    assert {stream["stream"] for stream in shown} == {source.name for source in sources}
    with urlopen(f"{url}frame/0.jpg", timeout=10) as answer:
        assert answer.read(2) == b"\xff\xd8"
    pace = "shown at the pace of the recording; with -o it runs as fast as it can"
    assert process.stderr.readline() == f"depthrt: {pace}\n"
    ended = outcome(process)
    assert (ended.code, ended.err) == (0, "")
    assert "50 frames in " in ended.out.splitlines()[-1]


def test_a_closed_preview_lets_its_port_go(sink: PreviewSink) -> None:
    port = urlsplit(sink.url).port
    sink.close(complete=True)
    again = PreviewSink(str(port), "tiny", "gray", lambda name: 0)
    again.close(complete=True)


def test_a_recording_is_shown_at_its_pace() -> None:
    paced = PreviewSink("0", "tiny", "gray", lambda name: 0, paced=True)
    start_s = time.monotonic()
    for number in range(3):
        paced.write(result(number))
    assert time.monotonic() - start_s >= 0.2
    paced.close(complete=True)

"""The page in a real browser: pictures, webcam, points, tokens and overload."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from browser import Tab, browser_path, browsing
from clips import Clip, pictures, write_clip
from depthrt_serving.settings import Queueing
from models import build_slow_model
from served import Running, encoded, picture, serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser_path() is None, reason="no Chromium is installed"),
]
RESULT = "!document.getElementById('result').hidden"
KNOWN = "document.getElementById('model').textContent.includes(': ')"
RATE = "document.querySelector('[data-fact=rate]') !== null"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browsing(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture
def tab(chromium: Tab) -> Iterator[Tab]:
    """The browser; at the end it has no complaint, and asked one host alone."""
    chromium.complaints.clear()
    chromium.urls.clear()
    yield chromium
    chromium.run("document.body.dataset.end = ''")  # hears what is still on its way
    assert not chromium.complaints
    places = {urlsplit(url).netloc for url in chromium.urls if not url.startswith("blob:")}
    assert len(places) == 1
    chromium.call("Page.navigate", url="about:blank")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "photo.png"
    file.write_bytes(encoded(picture(1)))
    return file


def fact(tab: Tab, name: str) -> str:
    return tab.text(f"[data-fact={name}]")


def until(condition: Callable[[], bool]) -> None:
    """Wait until the server is so far."""
    end_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.002)


def without(tab: Tab, report: str) -> None:
    """Forget what the browser itself reports of a refused request: no fault of the page."""
    tab.complaints[:] = [text for text in tab.complaints if report not in text]


def test_a_dropped_picture_is_shown_and_measured(tab: Tab, running: Running, photo: Path) -> None:
    tab.open(running.address + "/")
    tab.until(KNOWN)
    assert tab.text("#model") == "tiny: relative depth, larger is nearer, on cpu"
    tab.drop(photo)
    tab.until(RESULT)
    assert fact(tab, "size") == "64 × 48"
    assert fact(tab, "batch") == "1 image"
    assert fact(tab, "computeMs").endswith(" ms")
    box = tab.box("#view")
    tab.mouse("mouseMoved", box["x"] + 0.75 * box["width"], box["y"] + 0.25 * box["height"])
    place, _, said = tab.text("#probe").partition(": ")
    x, y = map(int, place.split(","))
    assert abs(x - 90) <= 1
    assert abs(y - 22) <= 1
    asked = running.ask(f"/v1/depth?at={x},{y}", photo.read_bytes()).document["at"][0]["depth"]
    assert float(said.partition(",")[0]) == pytest.approx(asked, rel=6e-3)  # three digits
    # Left of the slider is the picture, right of it the depth in the server's colours.
    colour = running.ask("/v1/depth?view=colour", photo.read_bytes(), {"Accept": "image/png"})
    drawn = cv2.imdecode(np.frombuffer(colour.content, np.uint8), cv2.IMREAD_COLOR)
    assert drawn is not None
    for share, expected in ((0.1, picture(1)), (0.9, drawn[..., ::-1])):
        place = round(share * 120)
        pixel = tab.run(
            "(() => { const view = document.getElementById('view');"
            f"const at = [{(place + 0.5) / 120} * view.width, {45.5 / 90} * view.height];"
            "return [...view.getContext('2d').getImageData(...at, 1, 1).data]; })()"
        )
        assert pixel[:3] == pytest.approx(expected[45, place].tolist(), abs=10)


def test_everything_is_reached_by_keyboard(tab: Tab, running: Running, photo: Path) -> None:
    tab.open(running.address + "/")
    tab.until(KNOWN)
    tab.drop(photo)
    tab.until(RESULT)
    tab.run("document.activeElement.blur()")
    reached = []
    for _ in range(12):
        tab.key("Tab", 9)
        reached.append(tab.run("document.activeElement.id || document.activeElement.className"))
    assert reached[:5] == ["skip", "file", "webcam", "", "view"]  # "": the radio buttons
    assert reached[5:9] == ["cut", "colours", "save-values", "save-picture"]
    tab.run("document.getElementById('view').focus()")
    tab.key("ArrowRight", 39)
    assert tab.text("#said").startswith("63, 45: ")
    tab.key("ArrowUp", 38)
    assert tab.text("#said").startswith("63, 42: ")
    assert "% near" in tab.text("#said")


def test_a_screen_reader_finds_names(tab: Tab, running: Running, photo: Path) -> None:
    tab.open(running.address + "/")
    tab.drop(photo)
    tab.until(RESULT)
    nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
    shown = [
        (node["role"]["value"], node["name"]["value"]) for node in nodes if not node["ignored"]
    ]
    named = ("button", "slider", "combobox", "radio", "application", "image")
    assert not [role for role, name in shown if role in named and not name]
    (view,) = (name for role, name in shown if role == "application")
    assert view.startswith("Picture of 120 by 90 pixels with its depth, bright is near")


def test_points_can_be_turned(tab: Tab, running: Running, photo: Path) -> None:
    tab.open(running.address + "/")
    tab.drop(photo)
    tab.until(RESULT)
    tab.run("document.querySelector('[value=points]').click()")
    look = "document.getElementById('cloud').toDataURL()"
    seen = [tab.run(look)]
    painted = """(() => {
        const gl = document.getElementById('cloud').getContext('webgl');
        const pixels = new Uint8Array(4 * gl.drawingBufferWidth * gl.drawingBufferHeight);
        gl.readPixels(0, 0, gl.drawingBufferWidth, gl.drawingBufferHeight, gl.RGBA,
                      gl.UNSIGNED_BYTE, pixels);
        return pixels.filter((value, n) => n % 4 === 0 && value > 30).length / (pixels.length / 4);
    })()"""
    assert tab.run(painted) > 0.05
    tab.run("document.getElementById('cloud').focus()")
    tab.key("ArrowLeft", 37)
    seen.append(tab.run(look))
    box = tab.box("#cloud")
    x, y = box["x"] + 100, box["y"] + 100
    for kind, dx in (("mousePressed", 0), ("mouseMoved", 80), ("mouseReleased", 80)):
        tab.mouse(kind, x + dx, y, button="left", buttons=1, clickCount=1)
    seen.append(tab.run(look))
    assert len({*seen}) == 3


def test_the_webcam_streams(tab: Tab, running: Running) -> None:
    tab.open(running.address + "/")
    tab.run("document.getElementById('webcam').click()")
    tab.until(RATE)
    assert [url for url in tab.urls if url.startswith("ws:")]
    assert fact(tab, "size") == "64 × 48"
    assert fact(tab, "batch") == "1 image"
    assert tab.run("document.getElementById('webcam').ariaPressed") == "true"
    tab.run("document.getElementById('webcam').click()")
    assert tab.run("document.getElementById('webcam').ariaPressed") == "false"
    ended = partial(running.metric, "depthrt_requests_total", route="/v1/stream", status="101")
    until(lambda: ended() == 1)
    assert tab.run("document.getElementById('notice').hidden")


def test_the_webcam_needs_no_websocket(tab: Tab, tiny: Path, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("no/subprotocol=\n")  # of which a browser makes no subprotocol
    with serving(tiny, token_file=secret) as running:
        tab.open(running.address + "/")
        tab.until("!document.getElementById('token-form').hidden")
        tab.call("Input.insertText", text="no/subprotocol=")
        tab.key("Enter", 13)
        tab.until(KNOWN)
        tab.run("document.getElementById('webcam').click()")
        tab.until(RATE)
        assert not [url for url in tab.urls if url.startswith("ws:")]
        assert len([url for url in tab.urls if url.endswith("/v1/depth")]) > 1
        tab.run("document.getElementById('webcam').click()")
    without(tab, "status of 401")


def test_a_dropped_clip_plays_beside_its_depth(tab: Tab, running: Running, tmp_path: Path) -> None:
    tab.open(running.address + "/")
    kind = json.dumps('video/mp4; codecs="avc1.42E01E"')
    if not tab.run(f"document.createElement('video').canPlayType({kind})"):
        pytest.skip("this browser plays no H.264")
    file = write_clip(tmp_path / "clip.mp4", Clip(frames=30, size=(96, 128)))
    tab.until(KNOWN)
    tab.drop(file)
    tab.until("document.getElementById('play').innerText === 'Pause'")
    assert fact(tab, "frames") == "30"
    assert tab.run("document.getElementById('notice').hidden")
    assert tab.run("document.getElementById('save-clip').href").startswith("blob:")
    assert not tab.box("#mode-points")["width"]  # a clip has no values
    tab.run("document.getElementById('play').click()")
    tab.until("document.getElementById('play').innerText === 'Play'")
    tab.run(
        "(() => { const seek = document.getElementById('seek');"
        "seek.value = 500; seek.dispatchEvent(new Event('input')); })()"
    )
    said = "document.getElementById('seek').getAttribute('aria-valuetext')"
    tab.until(f"{said} === '0.6 of 1.2 seconds'")
    # The left half of the canvas is the clip's picture, at the place in time that was asked for.
    left = tab.run(
        "(() => { const view = document.getElementById('view');"
        "return [...view.getContext('2d')"
        ".getImageData(0, 0, view.width / 2 - 4, view.height).data]; })()"
    )
    shown = np.array(left, np.uint8).reshape(384, -1, 4)[..., :3]
    expected = pictures(file)[15][:, :64]
    small = cv2.resize(shown, expected.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - expected).mean() < 8
    until(lambda: running.ask("/v1/clips").document == {"clips": []})


def test_a_clip_can_be_cancelled(tab: Tab, tmp_path: Path) -> None:
    file = write_clip(tmp_path / "clip.mp4", Clip(frames=600))
    with serving(build_slow_model(tmp_path / "slow.onnx", work=20)) as running:
        tab.open(running.address + "/")
        tab.until(KNOWN)
        tab.drop(file)
        tab.until("document.getElementById('progress').value > 0")
        assert tab.text("#notice-text") == "Computing the depth of the clip…"
        tab.run("document.getElementById('cancel').click()")
        assert tab.run("document.getElementById('notice').hidden")
        until(lambda: running.ask("/v1/clips").document == {"clips": []})


def test_overload_is_explained_and_the_picture_sent_again(
    tab: Tab, tmp_path: Path, photo: Path
) -> None:
    images = 12
    slow = build_slow_model(tmp_path / "slow.onnx", work=20)
    with serving(slow, queueing=Queueing(images=images, deadline_s=60.0)) as running:
        tab.open(running.address + "/")
        tab.until(KNOWN)
        part = b"--b\r\nContent-Type: image/png\r\n\r\n" + photo.read_bytes() + b"\r\n"
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        crowd = threading.Thread(
            target=running.ask, args=("/v1/depth", part * images + b"--b--\r\n", kind)
        )
        crowd.start()
        until(lambda: running.service.batcher.waiting >= images - 2)
        others = [
            threading.Thread(target=running.ask, args=("/v1/depth", photo.read_bytes()))
            for _ in range(4)
        ]
        for each in others:
            each.start()
        tab.drop(photo)
        tab.until("document.getElementById('notice').dataset.kind === 'busy'")
        assert tab.text("#notice-text").startswith("The server has more to do than it can")
        assert tab.text("#countdown").endswith(" s")
        assert not tab.run("document.getElementById('retry').hidden")
        tab.until(RESULT)
        assert tab.run("document.getElementById('notice').hidden")
        for each in (crowd, *others):
            each.join(30)
        assert running.metric("depthrt_rejected_total", reason="queue_full") >= 1
    without(tab, "status of 429")


def test_a_token_is_asked_for_and_kept_in_memory_alone(
    tab: Tab, tiny: Path, tmp_path: Path, photo: Path
) -> None:
    secret = tmp_path / "token"
    secret.write_text("a-token-of-this-test\n")
    with serving(tiny, token_file=secret) as running:
        tab.open(running.address + "/")
        tab.until("!document.getElementById('token-form').hidden")
        assert tab.text("#notice-text") == "This server answers only with a token."
        for word, answer in (
            ("wrong-token", "The server does not know this token."),
            ("a-token-of-this-test", ""),
        ):
            assert tab.run("document.activeElement.id") == "token"
            tab.call("Input.insertText", text=word)
            tab.key("Enter", 13)
            said = json.dumps(answer)
            tab.until(f"document.getElementById('notice-text').textContent === {said}")
        tab.until("document.getElementById('token-form').hidden")
        tab.until(KNOWN)
        tab.drop(photo)
        tab.until(RESULT)
        tab.run("document.getElementById('webcam').click()")
        tab.until(RATE)
        assert [url for url in tab.urls if url.startswith("ws:")]
        kept = "localStorage.length + sessionStorage.length + document.cookie.length"
        assert tab.run(kept) == 0
        assert tab.run("document.getElementById('token').value") == ""
        assert not [url for url in tab.urls if "a-token" in url]
    without(tab, "status of 401")


def test_what_goes_wrong_is_said(tab: Tab, tiny: Path, tmp_path: Path, photo: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("no picture\n")
    with serving(tiny) as running:
        tab.open(running.address + "/")
        tab.until(KNOWN)
        tab.drop(notes)
        tab.until("document.getElementById('notice').dataset.kind === 'error'")
        assert tab.text("#notice-text").startswith("This browser cannot read that file")
    tab.drop(photo)
    tab.until("document.getElementById('notice-text').textContent.includes('does not answer')")
    without(tab, "ERR_CONNECTION")


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_window(
    tab: Tab, running: Running, photo: Path, width: int
) -> None:
    tab.open(running.address + "/", width)
    tab.drop(photo)
    tab.until(RESULT)
    for mode in ("slide", "beside", "points"):
        tab.run(f"document.querySelector('[value={mode}]').click()")
        assert tab.run("document.documentElement.scrollWidth") <= width
        small = tab.run(
            "[...document.querySelectorAll('button, select, .button, .modes span')]"
            ".filter((each) => each.offsetHeight && each.offsetHeight < 44).length"
        )
        assert small == 0  # WCAG 2.2, 2.5.5: 44 pixels for a finger

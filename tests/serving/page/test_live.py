"""The page in a real browser: webcam, clips, tokens, and what goes wrong."""

from __future__ import annotations

import json
import threading
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt_serving.settings import Queueing
from helpers.files.clips import Clip, pictures, write_clip
from helpers.models.small_model import build_slow_model
from helpers.web.browser import Tab, browser_path
from helpers.web.served import Running, serving
from helpers.web.served_page import KNOWN, RATE, RESULT, fact, until, without

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser_path() is None, reason="no Chromium is installed"),
]


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
    expected = pictures(file)[15][:, :64]
    until(lambda: np.abs(left_half(tab, expected.shape) - expected).mean() < 8)
    until(lambda: running.ask("/v1/clips").document == {"clips": []})


def left_half(tab: Tab, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """The picture that the canvas shows beside its depth, made as small as the clip's."""
    values = tab.run(
        "(() => { const view = document.getElementById('view');"
        "return [...view.getContext('2d')"
        ".getImageData(0, 0, view.width / 2 - 4, view.height).data]; })()"
    )
    shown = np.array(values, np.uint8).reshape(384, -1, 4)[..., :3]
    return cv2.resize(shown, shape[1::-1], interpolation=cv2.INTER_AREA).astype(np.int64)


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


def test_frames_without_depth_are_explained(tab: Tab, tiny: Path) -> None:
    with serving(tiny, queueing=Queueing(deadline_s=1e-6)) as running:
        tab.open(running.address + "/")
        tab.until(KNOWN)
        tab.run("document.getElementById('webcam').click()")
        tab.until("document.getElementById('notice').dataset.kind === 'busy'")
        assert tab.text("#notice-text").startswith("The answer would come after its deadline")
        assert tab.text("#notice-text").endswith("Frames are left out meanwhile.")
        tab.run("document.getElementById('webcam').click()")
        assert tab.run("document.getElementById('webcam').ariaPressed") == "false"
        tab.until("document.getElementById('notice').hidden")


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

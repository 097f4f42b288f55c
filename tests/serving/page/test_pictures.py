"""The page in a real browser: pictures, values, points, keyboard and narrow windows."""

from __future__ import annotations

import io
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from depthrt.model.depth_model import DepthModel
from depthrt.spec import InputSpec, ModelSpec
from helpers.files.heic_photos import heic
from helpers.models.full_model import FOV_DEG, build_full_model
from helpers.models.small_model import build_model, build_slow_model
from helpers.web.browser import Tab, browser_path
from helpers.web.served import Running, encoded, picture, serving
from helpers.web.served_page import KNOWN, NPY, RESULT, fact, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser_path() is None, reason="no Chromium is installed"),
]


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


def test_what_is_saved_is_the_depth_to_the_bit(
    tab: Tab, running: Running, model: DepthModel, photo: Path
) -> None:
    tab.open(running.address + "/")
    tab.drop(photo)
    tab.until(RESULT)
    tab.run(
        "(() => { const make = URL.createObjectURL;"
        "URL.createObjectURL = (blob) => { window.saved = blob; return make.call(URL, blob); };"
        "})()"
    )
    tab.run("document.getElementById('save-values').click()")
    content = tab.run("window.saved.arrayBuffer().then((buffer) => [...new Uint8Array(buffer)])")
    assert np.array_equal(np.load(io.BytesIO(bytes(content))), model(picture(1)).values)


def test_a_phone_s_picture_stands_upright(tab: Tab, running: Running, tmp_path: Path) -> None:
    jpeg = encoded(picture(3), ".jpg")
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    turned = jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]
    file = tmp_path / "phone.jpg"
    file.write_bytes(turned)
    tab.open(running.address + "/", 390)
    tab.drop(file)
    tab.until(RESULT)
    label = tab.run("document.getElementById('view').ariaLabel")
    assert label.startswith("Picture of 90 by 120 pixels")
    assert (
        tab.run("(({ width, height }) => width / height)(document.getElementById('view'))") == 0.75
    )


def test_metres_are_said_and_what_is_not_known(tab: Tab, tmp_path: Path, photo: Path) -> None:
    spec = ModelSpec("metric", "depth", InputSpec(48, 64), unit="m")
    with serving(build_model(tmp_path / "metric.onnx", spec=spec, gain=0.02)) as running:
        tab.open(running.address + "/")
        tab.until("document.getElementById('model').textContent === 'metric: metres, on cpu'")
        tab.drop(photo)
        tab.until(RESULT)
        tab.run("document.getElementById('view').focus()")
        tab.key("ArrowRight", 39)
        place, _, said = tab.text("#probe").partition(": ")
        at = place.replace(" ", "")
        found = running.ask(f"/v1/depth?at={at}", photo.read_bytes()).document["at"][0]
        assert said == f"{found['distance_m']:.3g} m"
        near, far = (float(tab.text(f"#{end}-said").split()[0]) for end in ("near", "far"))
        assert near < far
        # Points are at the distances that the model gives.
        tab.run("document.querySelector('[value=points]').click()")
        assert tab.run("document.getElementById('notice').hidden")


def test_where_nothing_is_known_it_says_so(tab: Tab, tmp_path: Path, photo: Path) -> None:
    with serving(build_full_model(tmp_path / "full.onnx")) as running:
        tab.open(running.address + "/")
        tab.drop(photo)
        tab.until(RESULT)
        values = np.load(io.BytesIO(running.ask("/v1/depth", photo.read_bytes(), NPY).content))
        row, column = np.argwhere(np.isnan(values))[0]
        box = tab.box("#view")
        x, y = (column + 0.5) / values.shape[1], (row + 0.5) / values.shape[0]
        tab.mouse("mouseMoved", box["x"] + x * box["width"], box["y"] + y * box["height"])
        assert tab.text("#probe").endswith(": no depth here")
        # Points take the network's own angle of view.
        tab.run("document.querySelector('[value=points]').click()")
        assert tab.text("#fov-said") == f"{round(FOV_DEG + 1e-6)}°"


def test_the_picture_dropped_last_is_the_one_shown(tab: Tab, tmp_path: Path, photo: Path) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(encoded(picture(2, (60, 200))))
    with serving(build_slow_model(tmp_path / "slow.onnx", work=20)) as running:
        tab.open(running.address + "/")
        tab.until(KNOWN)
        tab.drop(photo)
        tab.drop(other)
        tab.until(RESULT)
        label = tab.run("document.getElementById('view').ariaLabel")
        assert label.startswith("Picture of 200 by 60 pixels")
        until(lambda: running.service.batcher.waiting == 0)
        time.sleep(0.3)  # an answer to the first would be here by now
        assert tab.run("document.getElementById('view').ariaLabel") == label


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


def test_a_photo_that_the_browser_does_not_show_has_its_depth_alone(
    tab: Tab, running: Running, model: DepthModel, tmp_path: Path
) -> None:
    pytest.importorskip("pi_heif")
    photo = tmp_path / "photo.heic"
    photo.write_bytes(heic([picture(1, (96, 128))], quarter_turns=1))
    tab.open(running.address + "/")
    tab.drop(photo)
    tab.until(RESULT)
    assert "the depth alone" in tab.text("#notice")
    box = tab.box("#view")
    tab.mouse("mouseMoved", box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    said = tab.until("document.getElementById('probe').innerText")
    x, y = (int(number) for number in said.partition(":")[0].split(","))
    asked = running.ask(f"/v1/depth?at={x},{y}", photo.read_bytes()).document
    assert asked["image_size"] == [128, 96]
    assert float(said.partition(":")[2].split(",")[0]) == pytest.approx(
        asked["at"][0]["depth"], rel=0.01
    )


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

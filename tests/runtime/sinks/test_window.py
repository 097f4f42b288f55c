"""The window, with OpenCV's own window functions taken out: there is no display in a test."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt import Depth, Frame, Result, UsageError
from depthrt.sinks.image import WindowSink, has_display


class Screen:
    """What was shown, for how long, and the key that is pressed next."""

    def __init__(self) -> None:
        self.pictures: list[NDArray[np.uint8]] = []
        self.waits_ms: list[int] = []
        self.key, self.visible = -1, 1.0

    def show(self, title: str, picture: NDArray[np.uint8]) -> None:
        self.pictures.append(picture)

    def wait(self, ms: int) -> int:
        self.waits_ms.append(ms)
        return self.key


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    screen = Screen()
    monkeypatch.setenv("DISPLAY", ":99")
    monkeypatch.setattr(cv2, "imshow", screen.show)
    monkeypatch.setattr(cv2, "waitKey", screen.wait)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: screen.visible)
    return screen


def result(time_s: Fraction) -> Result:
    image = np.full((8, 10, 3), (250, 10, 10), np.uint8)
    depth = Depth(
        np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4), "inverse_depth", None, (8, 10)
    )
    return Result(Frame(image, 0, time_s), depth, (0.0, 1.0), False)


def test_pictures_are_bgr_and_paced_by_their_times(screen: Screen) -> None:
    sink = WindowSink("clip", "side", "inferno", paced=True)
    assert sink.write(result(Fraction(0)))
    assert sink.write(result(Fraction(2)))
    assert screen.pictures[0].shape == (8, 20, 3)
    assert screen.pictures[0][4, 4].argmax() == 2  # red comes last
    first_ms, second_ms = screen.waits_ms
    assert first_ms == 1
    assert 1000 < second_ms <= 2000


def test_live_pictures_do_not_wait(screen: Screen) -> None:
    sink = WindowSink("camera 0", "depth", "gray")
    sink.write(result(Fraction(0)))
    sink.write(result(Fraction(5)))
    assert screen.waits_ms == [1, 1]


def test_q_escape_and_closing_end_the_run(screen: Screen) -> None:
    sink = WindowSink("clip", "depth", "gray")
    for key in (ord("q"), 27):
        screen.key = key
        assert not sink.write(result(Fraction(0)))
    screen.key, screen.visible = -1, 0.0
    assert not sink.write(result(Fraction(0)))


def test_without_a_display_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(UsageError, match="--show needs a display"):
        WindowSink("clip", "depth", "gray")


def test_without_windows_in_opencv_it_says_so(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "")
    with pytest.raises(UsageError, match="opencv-python-headless\\) has none"):
        WindowSink("clip", "depth", "gray")


@pytest.mark.parametrize(("system", "shown"), [("win32", True), ("darwin", True), ("linux", False)])
def test_windows_and_macos_need_no_variable_to_show_windows(
    monkeypatch: pytest.MonkeyPatch, system: str, shown: bool
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("depthrt.sinks.image.sys.platform", system)
    assert has_display() is shown

"""Cameras, where no camera is: OpenCV's capture is replaced by one that does as it is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from depthrt import DepthModel, Selection, SourceError, Stats, open_source, stream
from depthrt.sources.read_options import CameraFormat, Reading
from helpers.commands import Command
from helpers.files.clips import picture

SIZE = (48, 64)


class Bench:
    """The cameras of a machine: which are plugged in, and what they give before they are not."""

    def __init__(self) -> None:
        self.plugged = True
        self.unplug_after: int | None = None
        self.plug_in_at_s: float | None = None
        self.given = self.opened = self.released = 0
        self.rate = 30.0
        self.pause_s = 0.002
        self.devices: list[object] = [0]  # what can be opened
        self.asked: list[tuple[int, float]] = []  # property and value, in order
        self.fixed: dict[int, float] = {}  # properties that the driver does not change

    def capture(self, number: int | str, interface: int = cv2.CAP_ANY) -> FakeCapture:
        assert isinstance(number, int) or interface == cv2.CAP_V4L2
        if self.plug_in_at_s is not None and time.monotonic() >= self.plug_in_at_s:
            self.plugged = True
        return FakeCapture(self, number)


class FakeCapture:
    """What cv2.VideoCapture is to the runtime."""

    def __init__(self, bench: Bench, number: int | str) -> None:
        self._bench = bench
        self._open = bench.plugged and number in bench.devices
        self._taken: dict[int, float] = {}
        bench.opened += self._open

    def isOpened(self) -> bool:  # noqa: N802
        return self._open

    def get(self, prop: int) -> float:
        usual = self._bench.rate if prop == cv2.CAP_PROP_FPS else 0.0
        return self._bench.fixed.get(prop, self._taken.get(prop, usual))

    def set(self, prop: int, value: float) -> bool:
        self._bench.asked.append((prop, value))
        self._taken[prop] = value
        return prop not in self._bench.fixed

    def read(self) -> tuple[bool, np.ndarray | None]:
        bench = self._bench
        time.sleep(bench.pause_s)
        if bench.given == bench.unplug_after:
            bench.unplug_after = None
            bench.plugged = False
            bench.plug_in_at_s = time.monotonic() + 0.6
        if not bench.plugged or not self._open:
            return False, None
        bench.given += 1
        return True, np.ascontiguousarray(picture(bench.given, SIZE)[..., ::-1])

    def release(self) -> None:
        self._bench.released += self._open
        self._open = False


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench()
    monkeypatch.setattr(cv2, "VideoCapture", made.capture)
    yield made
    assert made.released == made.opened  # every camera that was opened is free again


def test_frames_come_with_the_time_of_their_capture(bench: Bench, model: DepthModel) -> None:
    before_s = time.monotonic()
    source = open_source(0)
    assert (source.info.live, source.info.size, source.info.rate) == (True, SIZE, 30)
    results = stream(source, model)
    seen = [next(results) for _ in range(5)]
    results.close()
    for result in seen:
        frame = result.frame
        assert frame.captured_s is not None
        assert before_s <= frame.captured_s <= time.monotonic()
        assert float(frame.exact_time_s) == pytest.approx(
            frame.captured_s - (seen[0].frame.captured_s or 0) + float(seen[0].frame.exact_time_s),
            abs=1e-5,
        )
        np.testing.assert_array_equal(frame.image, picture(frame.index + 1, SIZE))


def test_a_camera_that_is_unplugged_and_plugged_in_again_goes_on(
    bench: Bench, model: DepthModel
) -> None:
    bench.unplug_after = 20
    source = open_source(0)
    results = stream(source, model)
    seen = []
    for result in results:
        seen.append(result.frame)
        if source.losses.gaps_s and len(seen) > 10:
            break
    results.close()
    (gap_s,) = source.losses.gaps_s
    assert 0.5 < gap_s < 10
    assert source.losses.sentence() == ""
    times = [frame.exact_time_s for frame in seen]
    assert times == sorted(set(times))
    steps = [float(b - a) for a, b in pairwise(times)]
    assert max(steps) >= 0.9 * gap_s
    assert bench.opened == 2


@pytest.mark.parametrize("reconnect_s", [0, 0.4])
def test_a_camera_that_stays_away_ends_the_run_and_is_said(
    bench: Bench, model: DepthModel, reconnect_s: float
) -> None:
    bench.unplug_after = 5
    source = open_source(0, reconnect_s=reconnect_s)
    stats = Stats()
    start_s = time.monotonic()
    frames = sum(1 for _ in stream(source, model, stats=stats))
    assert frames + stats.dropped in (4, 5)  # the first, if it had grown old
    assert time.monotonic() - start_s >= reconnect_s
    said = "reading broke off (it stopped giving pictures"
    if reconnect_s:
        said += " (there is no camera 0: `depthrt doctor` lists those found)"
        said += " and did not come back in 0.4 s"
    assert source.losses.sentence() == said + ")"
    assert source.losses.gaps_s == []


def test_closing_does_not_wait_for_a_camera_that_is_away(bench: Bench, model: DepthModel) -> None:
    bench.unplug_after = 3
    source = open_source(0, reconnect_s=float("inf"))
    results = stream(source, model)
    next(results)
    deadline_s = time.monotonic() + 10
    while bench.plugged and time.monotonic() < deadline_s:
        time.sleep(0.01)
    start_s = time.monotonic()
    results.close()
    assert time.monotonic() - start_s < 5


@pytest.mark.parametrize(
    ("prepare", "number", "says"),
    [
        (lambda bench: None, 1, "there is no camera 1"),
        (lambda bench: setattr(bench, "unplug_after", 0), 0, "opens but gives no picture"),
    ],
)
def test_no_camera_is_a_sentence(
    bench: Bench, prepare: Callable[[Bench], None], number: int, says: str
) -> None:
    prepare(bench)
    with pytest.raises(SourceError, match=says):
        open_source(number)


MJPG, YUYV = (float(cv2.VideoWriter.fourcc(*letters)) for letters in ("MJPG", "YUYV"))
WIDTH, HEIGHT = cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT
FORMAT, FPS = cv2.CAP_PROP_FOURCC, cv2.CAP_PROP_FPS


def asking(size: str | None, fps: float | None, pixel_format: str | None) -> Selection:
    return Selection(reading=Reading(camera=CameraFormat.of(size, fps, pixel_format)))


def test_a_camera_is_asked_for_its_format_first_and_what_it_takes_is_not_said(
    bench: Bench,
) -> None:
    source = open_source(0, asking("1280x720", 30, "mjpg"))
    source.close()
    assert bench.asked == [(FORMAT, MJPG), (WIDTH, 1280), (HEIGHT, 720), (FPS, 30)]
    assert source.info.notes == ()


@pytest.mark.parametrize(
    ("fixed", "notes"),
    [
        ({WIDTH: 640, HEIGHT: 480}, ["it was asked for 1280x720 and gives 640x480"]),
        ({FORMAT: YUYV}, ["it was asked for the format MJPG and gives YUYV"]),
        ({FORMAT: 0}, ["it was asked for the format MJPG and gives another"]),
        ({FPS: 10}, ["it was asked for 30/s and gives 10/s"]),
        ({FPS: 29.97}, []),
        ({FPS: 0}, ["it was asked for 30/s and does not say what it gives"]),
        (
            {FORMAT: YUYV, FPS: 5},
            [
                "it was asked for the format MJPG and gives YUYV",
                "it was asked for 30/s and gives 5/s",
            ],
        ),
    ],
)
def test_what_a_camera_does_not_take_is_said(
    bench: Bench, fixed: dict[int, float], notes: list[str]
) -> None:
    bench.fixed = fixed
    source = open_source(0, asking("1280x720", 30, "MJPG"))
    source.close()
    assert list(source.info.notes) == notes


def test_without_a_wish_a_camera_is_left_alone(bench: Bench) -> None:
    open_source(0).close()
    assert bench.asked == []


@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="no device files here")
def test_a_camera_is_opened_by_its_device_file(
    bench: Bench, command: Command, model_path: Path, tmp_path: Path
) -> None:
    """Also by the name that udev keeps; any device file stands in for a camera's."""
    by_id = tmp_path / "usb-046d_HD_Pro_Webcam-video-index0"
    by_id.symlink_to("/dev/null")
    bench.devices = ["/dev/null", str(by_id)]
    for name in bench.devices:
        source = open_source(str(name))
        assert (source.info.name, source.info.live, source.info.size) == (name, True, SIZE)
        source.close()
    bench.fixed = {WIDTH: 640, HEIGHT: 480}
    target = tmp_path / "out.mp4"
    ended = command(
        *("run", by_id, "-m", model_path, "-o", target, "--max-frames", 3),
        *("--camera-size", "1280x720", "--json"),
    )
    assert ended.code == 0
    note = "it was asked for 1280x720 and gives 640x480"
    assert ended.err.splitlines() == [f"depthrt: {by_id}: {note}"]
    assert ended.document["notes"] == [note]
    assert target.exists()


@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="no device files here")
def test_a_device_that_is_no_camera_is_a_sentence(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    """With OpenCV's own capture."""
    ended = command("run", "/dev/null", "-m", model_path, "-o", tmp_path / "out.mp4")
    assert ended.code == 2
    assert ended.complaint == (
        "/dev/null cannot be opened as a camera: `depthrt doctor` lists those found"
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--camera-size", "1280"), "--camera-size 1280 is no size like 1280x720"),
        (("--camera-size", "0x720"), "--camera-size 0x720 is no size in pixels"),
        (("--camera-fps", "0"), "--camera-fps 0 is not above 0"),
        (("--camera-format", "H264X"), "--camera-format H264X is no pixel format"),
        (("--camera-fps", "30"), "are for cameras, and there is none"),
        (("--source-fps", "-1"), "--source-fps -1 is not above 0"),
        (("--video-stream", "-1"), "--video-stream -1 is less than 0"),
    ],
)
def test_options_that_cannot_be_meant_are_a_sentence(
    command: Command,
    make_clip: Callable[..., Path],
    model_path: Path,
    tmp_path: Path,
    options: tuple[str, str],
    says: str,
) -> None:
    ended = command("run", make_clip(), "-m", model_path, "-o", tmp_path / "out.mp4", *options)
    assert ended.code == 2
    assert says in ended.complaint

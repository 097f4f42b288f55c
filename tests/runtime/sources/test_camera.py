"""Cameras, where no camera is: OpenCV's capture is replaced by one that does as it is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import cv2
import numpy as np
import pytest

from clips import picture
from depthrt import DepthModel, SourceError, Stats, open_source, stream

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

    def capture(self, number: int) -> FakeCapture:
        if self.plug_in_at_s is not None and time.monotonic() >= self.plug_in_at_s:
            self.plugged = True
        return FakeCapture(self, number)


class FakeCapture:
    """What cv2.VideoCapture is to the runtime."""

    def __init__(self, bench: Bench, number: int) -> None:
        self._bench = bench
        self._open = bench.plugged and number == 0
        bench.opened += self._open

    def isOpened(self) -> bool:  # noqa: N802
        return self._open

    def get(self, prop: int) -> float:
        assert prop == cv2.CAP_PROP_FPS
        return self._bench.rate

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
        assert float(frame.time_s) == pytest.approx(
            frame.captured_s - (seen[0].frame.captured_s or 0) + float(seen[0].frame.time_s),
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
    times = [frame.time_s for frame in seen]
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

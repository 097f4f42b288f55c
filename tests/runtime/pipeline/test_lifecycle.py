"""A stream, in whatever state it is left, harms neither the process nor its end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt import (
    DepthModel,
    Frame,
    Result,
    Selection,
    SourceError,
    SourceInfo,
    start,
    stream,
    stream_many,
)
from depthrt.sources.base import Losses
from depthrt.sources.images import ImagesSource

pytestmark = pytest.mark.usefixtures("no_thread_is_left")
PROMPT_S = 20.0  # a second on an idle machine; a silent source waits for 60


def pictures(count: int) -> list[NDArray[np.uint8]]:
    return [np.full((48, 64, 3), index % 256, np.uint8) for index in range(count)]


class Silent:
    """A source that gives two frames, then waits for ever, whatever it is told."""

    def __init__(self, *, live: bool = False) -> None:
        self.info = SourceInfo("silent", (48, 64), live=live)
        self.losses = Losses()
        self.let_go = threading.Event()

    def frames(self) -> Iterator[Frame]:
        for index, image in enumerate(pictures(2)):
            yield Frame(image, index, Fraction(index, 25), "silent")
        self.let_go.wait(60)


class Job:
    """Keeps an error, whose traceback keeps the frame that holds the stream: a cycle."""

    error: Exception | None = None

    def run(self, model: DepthModel) -> None:
        results = stream(pictures(500), model)
        try:
            for _ in results:
                raise ValueError("bad frame")
        except ValueError as error:
            self.error = error


def test_a_stream_in_a_cycle_is_collected_and_the_collector_goes_on(model: DepthModel) -> None:
    for _ in range(5):
        Job().run(model)
    collected = threading.Event()
    thread = threading.Thread(target=lambda: (gc.collect(), collected.set()))
    thread.start()
    assert collected.wait(PROMPT_S)
    thread.join()

    class Cycle:
        me: object = None

    cycle = Cycle()
    cycle.me, alive = cycle, weakref.ref(cycle)
    del cycle
    gc.collect()
    assert alive() is None


def run_script(text: str, timeout_s: float = 50) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=timeout_s, check=False
    )


@pytest.mark.parametrize(
    "script",
    [
        "results = depthrt.stream('demo'); next(results)",
        "model = depthrt.DepthModel.load(objective='throughput')\n"
        "kept = [depthrt.stream('demo', model) for _ in range(3)]\n"
        "for each in kept: next(each)",
        "running = depthrt.start(depthrt.stream('demo'), lambda result: None)",
        "results = depthrt.stream_many(['demo'] * 3); next(results); 1 / 0",
        "import atexit\n"
        "def late():\n"
        "    results = depthrt.stream('demo'); next(results)\n"
        "    assert sum(1 for _ in results) == 143\n"
        "atexit.register(late)\n"
        "results = depthrt.stream('demo'); next(results)",
        "import atexit; results = depthrt.stream('demo'); next(results)\n"
        "atexit.register(lambda: next(results, None))",
        "import time, numpy as np\n"
        "def images():\n"
        "    yield np.zeros((64, 80, 3), np.uint8)\n"
        "    time.sleep(60)\n"
        "results = depthrt.stream(images()); next(results)",
        "import threading\n"
        "results = depthrt.stream('demo')\n"
        "threading.Thread(target=lambda: [r for r in results], daemon=True).start()\n"
        "import time; time.sleep(0.5)",
    ],
    ids=["open", "several", "callback", "error", "late", "atexit", "waiting", "daemon"],
)
def test_a_script_that_ends_with_a_stream_open_ends_well(script: str) -> None:
    ended = run_script(f"import depthrt\n{script}")
    if "1 / 0" in script:
        assert ended.returncode == 1
        assert ended.stderr.strip().endswith("ZeroDivisionError: division by zero")
    else:
        assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("end", ["close", "stop", "drop"])
def test_a_silent_source_holds_nobody_up(model: DepthModel, live: bool, end: str) -> None:
    source = Silent(live=live)
    results = stream(source, model)
    next(results)
    begin_s = time.monotonic()
    if end == "close":
        results.close()
    elif end == "stop":
        threading.Timer(0.1, results.stop).start()
        assert len(list(results)) <= 1
    else:
        del results
    assert time.monotonic() - begin_s < PROMPT_S
    source.let_go.set()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, also where a shell started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_is_heard_while_a_source_is_silent(model: DepthModel) -> None:
    source = Silent()
    results = stream(source, model)
    seen = []
    begin_s = time.monotonic()
    threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        seen.extend(result.frame.index for result in results)
    assert seen == [] or seen == [0, 1]
    assert time.monotonic() - begin_s < 0.5 + PROMPT_S
    assert list(results) == []
    source.let_go.set()


def test_a_stream_may_be_closed_from_inside_its_own_source(model: DepthModel) -> None:
    held: list[Iterator[Result]] = []

    def images() -> Iterator[NDArray[np.uint8]]:
        yield from pictures(3)
        held[0].close()  # type: ignore[attr-defined]
        yield from pictures(3)

    held.append(stream(images(), model))
    begin_s = time.monotonic()
    assert len(list(held[0])) <= 3
    assert time.monotonic() - begin_s < PROMPT_S
    held.clear()


def test_a_stream_of_a_stream_ends_with_it(model: DepthModel) -> None:
    inner = stream(pictures(500), model)
    outer = stream((result.frame.image for result in inner), model)
    assert [next(outer).frame.index for _ in range(3)] == [0, 1, 2]
    begin_s = time.monotonic()
    outer.close()
    inner.close()
    assert time.monotonic() - begin_s < PROMPT_S


def test_it_can_be_awaited_and_cancelled(model: DepthModel) -> None:
    source = Silent(live=True)

    async def stop_soon() -> None:
        await asyncio.sleep(0.1)
        results.stop()

    async def watch() -> int:
        await asyncio.to_thread(next, results)
        both = asyncio.gather(asyncio.to_thread(lambda: sum(1 for _ in results)), stop_soon())
        return (await asyncio.wait_for(both, PROMPT_S))[0]

    results = stream(source, model)
    assert asyncio.run(watch()) <= 1
    source.let_go.set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is of POSIX systems")
def test_a_forked_child_is_told_and_ends_well() -> None:
    ended = run_script(
        "import depthrt, os, sys, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "results = depthrt.stream('demo'); next(results)\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    try: next(results)\n"
        "    except depthrt.UsageError as error: print(error)\n"
        "    results.stop(); results.close()\n"
        "    sys.exit(7)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(list(results)))\n"
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        "this stream belongs to the process that was forked: open it here",
        "7 143",
    ]


def test_each_result_has_the_picture_of_its_own_frame(model: DepthModel) -> None:
    def images() -> Iterator[NDArray[np.uint8]]:
        buffer = np.empty((48, 64, 3), np.uint8)
        for index in range(60):
            buffer[:] = index
            yield buffer

    for many in (False, True):
        results = stream_many([images()], model) if many else stream(images(), model)
        for index, result in enumerate(results):
            np.testing.assert_array_equal(result.frame.image, np.full((48, 64, 3), index))
            assert result.frame.index == index


def test_a_callback_may_stop_and_join_its_own_run(model: DepthModel) -> None:
    seen: list[int] = []

    def once(result: Result) -> None:
        seen.append(result.frame.index)
        running.stop()
        assert running.join()

    begin_s = time.monotonic()
    ready = threading.Event()
    running = start(stream(pictures(500), model), lambda result: (ready.wait(), once(result))[1])
    ready.set()
    assert running.join(timeout_s=10)
    assert seen == [0]
    assert time.monotonic() - begin_s < PROMPT_S


def test_the_source_of_an_unread_stream_of_many_is_closed(
    model: DepthModel, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), pictures(1)[0])
    closed: list[str] = []

    class Told(ImagesSource):
        def close(self) -> None:
            closed.append(self.info.name)

    stream_many({n: Told([tmp_path / "a.png"], Selection(), n) for n in "ab"}, model).close()
    assert closed == ["a", "b"]
    with pytest.raises(SourceError):
        stream_many(["no such file"], model)


def test_nothing_comes_out_of_a_stream_that_was_closed(model: DepthModel) -> None:
    results = stream(pictures(300), model)
    next(results)
    time.sleep(0.1)  # some are ready by now
    results.close()
    assert next(results, None) is None


def test_a_stream_may_be_closed_while_it_starts(model: DepthModel) -> None:
    for _ in range(50):
        results = stream(pictures(20), model)
        thread = threading.Thread(target=results.close)
        thread.start()
        for _ in results:
            pass
        thread.join(PROMPT_S)
        assert not thread.is_alive()


def test_closing_again_does_not_wait_again(model: DepthModel) -> None:
    source = Silent()
    results = stream(source, model)
    next(results)
    begin_s = time.monotonic()
    for _ in range(60):  # each would wait for a second
        results.close()
    assert time.monotonic() - begin_s < PROMPT_S
    source.let_go.set()

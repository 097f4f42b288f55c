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
from collections.abc import Callable, Iterator
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
    UsageError,
    start,
    stream,
    stream_many,
)
from depthrt.model.depth_model import Abort
from depthrt.sources.base import Losses
from depthrt.sources.blocking_calls import call, call_all
from depthrt.sources.images import ImagesSource
from models import build_slow_model

pytestmark = pytest.mark.usefixtures("no_thread_is_left")
MakeClip = Callable[..., Path]
PROMPT_S = 3.0  # a second, on a machine that does other things, too


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


def run_script(text: str, timeout_s: float = 30) -> subprocess.CompletedProcess[str]:
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
    begin_s = time.monotonic()
    ended = run_script(f"import depthrt\n{script}")
    if "1 / 0" in script:
        assert ended.returncode == 1
        assert ended.stderr.strip().endswith("ZeroDivisionError: division by zero")
    else:
        assert (ended.returncode, ended.stderr) == (0, "")
    assert time.monotonic() - begin_s < 20


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


def test_ctrl_c_is_heard_while_a_source_is_opened() -> None:
    let_go, discarded = threading.Event(), threading.Event()

    def slow() -> str:
        let_go.wait(60)
        return "opened"

    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    begin_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        call(slow, lambda opened: discarded.set())
    assert time.monotonic() - begin_s < PROMPT_S
    let_go.set()
    assert discarded.wait(PROMPT_S), "what was opened after all is closed"


def test_calls_are_made_side_by_side_and_each_has_its_own_outcome() -> None:
    together = threading.Barrier(3, timeout=10)

    def one(number: int) -> int:
        together.wait()
        if number == 1:
            raise MemoryError("one")
        return number

    found = call_all([lambda n=n: one(n) for n in range(3)], lambda _: None)  # type: ignore[misc]
    assert (found[0], found[2]) == (0, 2)
    assert isinstance(found[1], MemoryError)


def test_a_long_inference_is_aborted(tmp_path: Path) -> None:
    model = DepthModel.load(build_slow_model(tmp_path / "slow.onnx", work=400), provider="cpu")
    pixels = np.zeros((1, 3, *(model.spec.input.height, model.spec.input.width)), np.uint8)
    start_s = time.perf_counter()
    model.infer(pixels)
    whole_s = time.perf_counter() - start_s
    abort = Abort()
    threading.Timer(whole_s / 10, abort.now).start()
    start_s = time.perf_counter()
    with pytest.raises(Exception, match="terminate"):
        model.infer(pixels, abort)
    assert time.perf_counter() - start_s < 0.8 * whole_s
    with pytest.raises(Exception, match="terminate"):
        model.infer(pixels, abort)
    assert len(model.infer(pixels)) == 1  # others are left alone


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


class Raising:
    """A source that raises, or one whose first picture does."""

    def __init__(self, error: BaseException, after: int) -> None:
        self.info = SourceInfo("raising", (48, 64))
        self.losses = Losses()
        self._error, self._after = error, after

    def frames(self) -> Iterator[Frame]:
        for index, image in enumerate(pictures(self._after)):
            yield Frame(image, index, Fraction(index, 25), "raising")
        raise self._error


class NoImages:
    """An iterable whose first image is an error."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        raise self._error


class Odd(BaseException):
    """No Exception."""


@pytest.mark.parametrize(
    "error", [ValueError("mine"), MemoryError("full"), RuntimeError("x"), Odd("odd")]
)
def test_whatever_a_stream_raises_ends_that_stream_alone(
    model: DepthModel, error: BaseException
) -> None:
    sources = {
        "good": pictures(12),
        "opening": NoImages(error),
        "first": Raising(error, 0),
        "later": Raising(error, 3),
        "other shape": [*pictures(2), np.zeros((4, 4), np.uint8)],
    }
    failures: dict[str, BaseException] = {}
    seen = dict.fromkeys(sources, 0)
    for result in stream_many(sources, model, on_failure=failures.__setitem__):
        seen[result.frame.stream] += 1
    assert seen == {"good": 12, "opening": 0, "first": 0, "later": 3, "other shape": 2}
    assert {name: failures[name] for name in ("opening", "first", "later")} == {
        "opening": error, "first": error, "later": error,
    }  # fmt: skip
    assert isinstance(failures["other shape"], UsageError)


def test_an_error_of_the_network_ends_only_the_streams_it_is_of(
    model: DepthModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    infer = model.infer

    def failing(batch: NDArray[np.uint8], abort: Abort | None = None) -> NDArray[np.float32]:
        if (batch[:, 0, 0, 0] == 77).any():
            raise MemoryError("too large")
        return infer(batch, abort)

    monkeypatch.setattr(model, "infer", failing)
    bad = [*pictures(3), np.full((48, 64, 3), 77, np.uint8)]
    failures: dict[str, BaseException] = {}
    results = stream_many(
        {"good": pictures(8), "bad": bad}, model, batch=4, on_failure=failures.__setitem__
    )
    assert sum(result.frame.stream == "good" for result in results) == 8
    assert list(failures) == ["bad"]
    assert isinstance(failures["bad"], MemoryError)


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


def fail_at_the_sixth(clip: Path, model: DepthModel) -> None:
    with stream(clip, model) as results:
        for result in results:
            _ = 1 / (5 - result.frame.index)


def test_a_run_that_raises_leaves_no_file_open(model: DepthModel, make_clip: MakeClip) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    clip = make_clip(frames=60)
    before = open_files()
    for _ in range(4):
        with pytest.raises(ZeroDivisionError):
            fail_at_the_sixth(clip, model)
    assert open_files() == before


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
    for _ in range(6):
        results.close()
    assert time.monotonic() - begin_s < PROMPT_S
    source.let_go.set()

"""Live sources on loopback that speak, fall silent, go away and come back."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

import depthrt
from helpers.web.servers import HttpVideo, free_port
from stress.case import Case, Job, WrongError, expect, leave, scenario
from stress.kit import FRAMES
from stress.stalling import GREYS, Stalling, grey, stalling
from stress.state import Timer

READ_S = 12.0  # a network read is given ten seconds


def _luma(result: depthrt.Result) -> Any:
    image = result.frame.pixels
    return image.y if isinstance(image, depthrt.YuvImage) else image


class _Follower:
    """Checks live results: their depth is their picture's, and pictures come in order."""

    def __init__(self, case: Case, model: depthrt.DepthModel, *, greys: bool = False) -> None:
        self._case, self._model, self._greys = case, model, greys
        self._index: dict[str, int] = {}
        self._time_s: dict[str, Any] = {}
        self._ahead: int | None = None

    def check(self, result: depthrt.Result) -> None:
        """Look at one."""
        frame = result.frame
        expect(frame.index > self._index.get(frame.stream, -1), "frames out of order")
        expect(frame.exact_time_s > self._time_s.get(frame.stream, -1), "times out of order")
        right = self._model(frame.pixels).values
        expect(np.array_equal(right, result.depth.values), "the depth of another picture")
        if self._greys:  # FFmpeg takes the first pictures to see what they are
            ahead = (int(_luma(result).reshape(-1)[0]) - grey(frame.index)) % GREYS
            self._ahead = ahead if self._ahead is None else self._ahead
            expect(
                (ahead - self._ahead + 2) % GREYS <= 4,
                f"frame {frame.index} has the picture of another one",
            )
        self._index[frame.stream], self._time_s[frame.stream] = frame.index, frame.exact_time_s


@contextmanager
def _server(**keywords: Any) -> Iterator[HttpVideo]:
    server = HttpVideo(**keywords)
    try:
        yield server
    finally:
        server.kill()


def _kind(case: Case) -> str:
    return case.rng.choice(["/live.mjpg", "/live.ts"])


@scenario(weight=2, limit_s=40)
def a_live_stream(case: Case) -> None:
    """A camera that speaks is left after some frames."""
    case.patience_s = READ_S
    with _server(rate=case.rng.choice([25, 60])) as server:
        model = case.kit.model(case.rng)
        results = depthrt.stream(server.address + _kind(case), model)
        follower = _Follower(case, model)
        for _ in range(case.rng.randint(0, 20)):
            follower.check(next(results))
        with case.ending("leaving a live stream"):
            leave(results, case.rng.choice(["close", ""]))
            del results


@scenario(weight=2, limit_s=60)
def a_server_that_comes_back(case: Case) -> None:
    """A server goes away and perhaps comes back; the stream goes on, or is stopped meanwhile."""
    case.patience_s = READ_S
    with _server(rate=50) as server:
        model = case.kit.model(case.rng)
        results = depthrt.stream(server.address + _kind(case), model)
        follower = _Follower(case, model)
        for _ in range(5):
            follower.check(next(results))
        reader = Job(lambda: _follow(follower, results))
        server.kill()
        time.sleep(case.rng.random() * 1.5)
        if case.rng.random() < 0.5:
            server.start()
            time.sleep(case.rng.random() * 1.5)
        with case.ending("stopping a reconnecting stream"):
            results.stop()
            reader.result()
        with case.ending("closing a reconnecting stream"):
            results.close()


def _follow(follower: _Follower, results: Iterable[depthrt.Result]) -> int:
    count = 0
    for result in results:
        follower.check(result)
        count += 1
    return count


@scenario(weight=2, limit_s=60)
def a_camera_falls_silent(case: Case) -> None:
    """A camera gives a few pictures and then nothing: stopped by another thread, or closed."""
    case.patience_s = READ_S
    count = case.rng.randint(8, 30)
    with stalling("pictures", pictures=count) as server:
        model = case.kit.model(case.rng)
        results = depthrt.stream(server.url, model)
        follower = _Follower(case, model, greys=True)
        reader = Job(lambda: _follow(follower, results))
        time.sleep(count / 50 + case.rng.random() * 0.6)
        with case.ending("stopping a silent camera"):
            results.stop()
            reader.result()
        with case.ending("closing a silent camera"):
            results.close()


@scenario(weight=2, limit_s=60)
def ctrl_c_at_a_silent_camera(case: Case) -> None:
    """Ctrl-C while a camera is silent, a server stalls or the stream is being opened."""
    case.patience_s = READ_S
    how: Any = case.rng.choice(["pictures", "mute", "head", "file"])
    file = case.kit.folder / "wide.mkv"
    with stalling(how, pictures=5, file=file) as server:
        _interrupt_stream(case, server, many=case.rng.random() < 0.4)


def _interrupt_stream(case: Case, server: Stalling, *, many: bool) -> None:
    came_s: list[float] = []

    def interrupt() -> None:
        came_s.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    model = case.kit.model(case.rng)
    with Timer(0.2 + case.rng.random(), interrupt):
        try:
            with suppress(depthrt.SourceError):
                if many:
                    sources = {"silent": server.url, "good": case.kit.clip("long.mp4")}
                    results = depthrt.stream_many(sources, model)
                else:
                    results = depthrt.stream(server.url, model)
                for result in results:
                    expect(result.frame is not None, "no frame")
            time.sleep(2)
            if came_s:
                case.ended("Ctrl-C at a silent server", time.monotonic() - came_s[0])
            raise WrongError("Ctrl-C did not come")
        except KeyboardInterrupt:
            case.ended("Ctrl-C at a silent server", time.monotonic() - came_s[0])


@scenario(limit_s=60)
def opening_in_a_thread(case: Case) -> None:
    """A stream that is being opened elsewhere does not disturb others in the process."""
    case.patience_s = READ_S
    with stalling(case.rng.choice(["mute", "head"])) as server:

        def open_it() -> None:
            with suppress(depthrt.SourceError):
                depthrt.stream(server.url, case.kit.model(case.rng)).close()

        opening = Job(open_it)
        for number, result in enumerate(
            depthrt.stream(case.kit.clip("short.mp4"), case.kit.model(case.rng))
        ):
            case.kit.check(result, "short.mp4", number)
    opening.result(15)


@scenario()
def nobody_there(case: Case) -> None:
    """A URL where nobody listens is an error at once, alone or beside others."""
    url = f"{case.rng.choice(['http', 'rtsp', 'tcp'])}://127.0.0.1:{free_port()}/x"
    told: list[str] = []
    with case.ending("opening where nobody listens"):
        try:
            depthrt.stream(url, case.kit.model(case.rng))
        except depthrt.SourceError as error:
            told.append(str(error))
    expect(len(told) == 1, "no error")
    sources = {"dead": url, "good": case.kit.clip("short.mp4")}
    names: list[str] = []
    model = case.kit.model(case.rng)
    count = 0
    for result in depthrt.stream_many(sources, model, on_failure=lambda n, e: names.append(n)):
        case.kit.check(result, "short.mp4", count)
        count += 1
    expect(names == ["dead"] and count == FRAMES["short.mp4"], f"{names}, {count} frames")


@scenario(weight=2, limit_s=60)
def live_and_recorded(case: Case) -> None:
    """A live camera, one that falls silent and a recording together; left at any moment."""
    case.patience_s = READ_S
    with _server(rate=25) as server, stalling("pictures", pictures=4) as silent:
        model = case.kit.model(case.rng)
        sources = {
            "live": server.address + _kind(case),
            "silent": silent.url,
            "clip": case.kit.clip("short.mp4"),
        }
        results = depthrt.stream_many(sources, model, on_failure=lambda name, error: None)
        follower = _Follower(case, model)
        clip: list[int] = []

        def read() -> None:
            for result in results:
                follower.check(result)
                if result.frame.stream == "clip":
                    case.kit.check(result, "short.mp4", len(clip))
                    clip.append(result.frame.index)

        reader = Job(read)
        time.sleep(case.rng.random() * 1.5)
        with case.ending("stopping live and recorded streams"):
            results.stop()
            reader.result()
        with case.ending("closing live and recorded streams"):
            results.close()


@scenario(limit_s=60)
def limits_of_live(case: Case) -> None:
    """Rates and latencies that are limited, while a consumer is slow."""
    case.patience_s = READ_S
    limits = depthrt.LiveLimits(max_latency_s=0.2, max_rate=case.rng.choice([5.0, 20.0]))
    stats = depthrt.Stats()
    with _server(rate=60) as server:
        model = case.kit.slow_model(case.rng)
        address = server.address + _kind(case)
        results = depthrt.stream(address, model, limits=limits, stats=stats)
        follower = _Follower(case, model)
        for _ in range(case.rng.randint(1, 6)):
            result = next(results)
            follower.check(result)
            expect(result.latency_s is not None, "no latency")
            time.sleep(0.02)
        with case.ending("closing"):
            results.close()


@scenario(limit_s=60)
def dropped_while_silent(case: Case) -> None:
    """The last reference to a silent camera goes in a thread of its own, by the collector."""
    case.patience_s = READ_S
    with stalling("pictures", pictures=12) as server:
        model = case.kit.model(case.rng)
        results = depthrt.stream(server.url, model)
        _Follower(case, model, greys=True).check(next(results))
        ring: list[Any] = [results]
        ring.append(ring)
        del results
        time.sleep(0.3)
        with case.ending("dropping a silent camera"):
            del ring
            thread = threading.Thread(target=gc.collect)
            thread.start()
            thread.join(10)
            expect(not thread.is_alive(), "the collector hangs")

"""What Ctrl-C, SIGTERM and SIGHUP do to a job: once, again, and while its outputs are finished."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import pytest

from depthrt import (
    DepthModel,
    InferenceError,
    LiveLimits,
    Result,
    open_source,
    read_depth,
    stream,
)
from depthrt.jobs import run as jobs_run
from depthrt.jobs.write_loop import StreamSinks, write_results
from depthrt.pipeline.stream_state import End
from depthrt.sinks.base import Sink
from depthrt.sinks.open import open_sink
from depthrt.system.interrupts import held, hold, is_noted, raise_noted, terminable
from helpers.commands import Command, Outcome, outcome, spawn
from helpers.files.write_results import write_into
from helpers.models.small_model import build_slow_model

MakeClip = Callable[..., Path]
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def send(number: int) -> None:
    """Send a signal to this process; it is handled when this returns."""
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_raises_and_the_next_is_noted(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    with terminable():
        with pytest.raises(KeyboardInterrupt):
            send(number)
        send(number)  # the job is being wound up
        assert is_noted()
        with pytest.raises(KeyboardInterrupt):
            send(number)
        hold()
        send(number)
        assert is_noted()
    assert [signal.getsignal(each) for each in SIGNALS] == before
    assert not is_noted()


def test_what_is_held_back_is_made_up_for() -> None:
    with terminable():
        raise_noted()
        with held(), held():
            send(signal.SIGINT)
        assert is_noted()
        with pytest.raises(KeyboardInterrupt):
            raise_noted()
        with pytest.raises(KeyboardInterrupt):
            raise_noted()  # nobody said that it was caught
        hold()
        raise_noted()


def test_an_import_that_swallows_it_does_not_hide_it() -> None:
    def swallow() -> None:
        try:
            send(signal.SIGTERM)
        except KeyboardInterrupt:
            raise ImportError("a module of C") from None

    with pytest.raises(KeyboardInterrupt), terminable():
        swallow()


def test_an_error_that_other_code_made_of_it_is_an_interrupt(
    make_clip: MakeClip, model: DepthModel, tmp_path: Path
) -> None:
    source, target = open_source(make_clip()), tmp_path / "out.npz"
    sink = open_sink(target, source.info, model.spec, "depth", "inferno")

    def results() -> Generator[Result, None, None]:
        for number, result in enumerate(stream(source, model)):
            if number == 3:
                try:
                    send(signal.SIGINT)
                except KeyboardInterrupt:
                    raise InferenceError("a library says something else") from None
            yield result

    assert write_into([sink], results(), source.info.name)  # it was interrupted
    assert list(tmp_path.iterdir()) == [target]
    assert len(list(read_depth(target))) == 3


def test_signals_that_others_handle_are_left_to_them() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with terminable():
            send(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIGTERM]


def test_in_another_thread_nothing_is_changed() -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    inside: list[object] = []

    def job() -> None:
        with terminable(), held():
            inside.extend(signal.getsignal(each) for each in SIGNALS)
            hold()
            raise_noted()

    thread = threading.Thread(target=job)
    thread.start()
    thread.join()
    assert inside == before


class Interrupting(Sink):
    """A sink during whose finishing signals come."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.closed: list[bool] = []

    def write(self, result: Result) -> bool:
        return True

    def close(self, *, complete: bool, cut_short: bool = False) -> Path | None:
        self.closed.append(complete)
        if complete:
            for _ in range(self.count):
                send(signal.SIGINT)
        return None


@pytest.mark.parametrize("output", ["out.mp4", "out.mkv", "out.npz", "out"])
@pytest.mark.parametrize("count", [1, 2])
def test_finishing_is_not_broken_off(
    make_clip: MakeClip, model: DepthModel, tmp_path: Path, output: str, count: int
) -> None:
    source, target = open_source(make_clip(sound="aac")), tmp_path / output
    own = open_sink(target, source.info, model.spec, "depth", "inferno")
    first, sinks = Interrupting(count), [Interrupting(0), own]

    def results() -> Generator[Result, None, None]:
        with closing(stream(source, model)) as found:
            yield from found

    every: list[Sink] = [first, *sinks]
    if count == 1:
        assert write_into(every, results(), source.info.name)  # it was interrupted
        assert list(tmp_path.iterdir()) == [target]
        frames = len(
            list(open_source(target).frames() if output == "out.mp4" else read_depth(target))
        )
        assert frames == 25
        return
    with pytest.raises(KeyboardInterrupt, match="interrupted; what was done before is in ") as two:
        write_into(every, results(), source.info.name)
    (kept,) = tmp_path.iterdir()
    assert str(kept) in str(two.value)
    assert not target.exists()
    assert len(list(open_source(kept).frames() if output == "out.mp4" else read_depth(kept))) == 25
    assert first.closed == [True, False]


@pytest.mark.parametrize("count", [1, 2])
def test_closing_one_of_two_is_not_broken_off(
    make_clip: MakeClip, model: DepthModel, tmp_path: Path, count: int
) -> None:
    source, target = open_source(make_clip()), tmp_path / "out.npz"
    own, other = open_sink(target, source.info, model.spec, "depth", "inferno"), Interrupting(0)

    def events() -> Generator[Result | End, None, None]:
        yield from stream(source, model)
        yield End(source.info.name)
        raise AssertionError("the other stream was to be ended")

    first = StreamSinks(source.info.name, [Interrupting(count), own])
    both = [first, StreamSinks("other", [other])]
    told: list[str] = []

    def run() -> bool:
        return write_results(
            events(), both, LiveLimits(), lambda: None, lambda name, said: told.append(said)
        )

    if count == 1:
        assert run()  # it was interrupted
        assert len(list(read_depth(target))) == 25
        assert other.closed == [True]
    else:
        with pytest.raises(KeyboardInterrupt, match="what was done before is in ") as two:
            run()
        (kept,) = tmp_path.iterdir()
        assert str(kept) in str(two.value)
        assert len(list(read_depth(kept))) == 25
        assert other.closed == [False]
    assert told == []


def listed(folder: Path, suffix: str) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.endswith(suffix)]


def wait_for(process: subprocess.Popen[str], folder: Path, suffix: str) -> None:
    deadline_s = time.monotonic() + 60
    while not listed(folder, suffix) and process.poll() is None:
        assert time.monotonic() < deadline_s
        time.sleep(0.0005)


def check(ended: Outcome, folder: Path) -> int:
    """Nothing broken is left, and nothing unnamed; how many frames there are."""
    assert ended.code == 130
    found = listed(folder, ".npz")
    for path in found:
        assert path.name == "o.npz" or str(path) in ended.err
    return sum(len(list(read_depth(path))) for path in found)


@pytest.mark.parametrize("times", [1, 2, pytest.param(5, marks=pytest.mark.slow)])
def test_ctrl_c_as_soon_as_there_is_an_archive(
    make_clip: MakeClip, model_path: Path, tmp_path: Path, times: int
) -> None:
    clip = make_clip(frames=400)
    process = spawn("run", clip, "-m", model_path, "-o", tmp_path / "o.npz")
    wait_for(process, tmp_path, ".npz")
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.005)
    start_s = time.monotonic()
    ended = outcome(process)
    assert time.monotonic() - start_s < 2
    assert check(ended, tmp_path) >= 1


@pytest.mark.parametrize("times", [2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_changes_nothing(
    make_clip: MakeClip, tmp_path: Path, number: signal.Signals, times: int
) -> None:
    slow = build_slow_model(tmp_path / "slow.onnx")
    (tmp_path / "out").mkdir()
    target = tmp_path / "out/o.npz"
    clip = make_clip(frames=400)
    process = spawn("run", clip, "-m", slow, "-o", target, "--threads", 1)
    wait_for(process, target.parent, ".npz")
    time.sleep(0.1)
    for _ in range(times):
        process.send_signal(number)
        time.sleep(0.05)
    ended = outcome(process)
    assert ended.complaint == "interrupted; what was done is kept"
    assert 1 <= check(ended, target.parent) < 400
    assert listed(target.parent, "") == [target]


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("sources", [1, 2])
def test_a_signal_while_sources_are_opened(
    command: Command,
    make_clip: MakeClip,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    sources: int,
) -> None:
    monkeypatch.setattr(jobs_run, "load_model", lambda *given, **more: send(number))
    clips = [make_clip(frames=4 + n) for n in range(sources)]
    output = tmp_path / ("o.mp4" if sources == 1 else "o")
    ended = command("run", *clips, "-o", output)
    assert (ended.code, ended.err) == (130, "depthrt: interrupted\n")
    assert list(tmp_path.iterdir()) == []

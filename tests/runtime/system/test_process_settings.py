"""What belongs to a host's process is left as it was: from threads, over a fork, after a run."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from depthrt import DepthModel, SourceError, read_image, stream
from depthrt.jobs.process_priority import prefer_throughput
from depthrt.jobs.run import Job, execute
from depthrt.sources.images import opencv_logging, quiet_opencv
from depthrt.system.process_settings import (
    Borrowed,
    default_variables,
    in_own_process,
    is_own_process,
    loggers_at,
    no_warnings,
    own_process,
)
from helpers.commands import spawn

MakeClip = Callable[..., Path]
_SILENT, _INFO = 0, 4  # of OpenCV
_LEVEL = opencv_logging().getLogLevel


def overlap(borrow: Callable[[], Any]) -> None:
    """Two threads whose blocks overlap: the first to come is the first to leave."""
    both, one_left = threading.Barrier(2), threading.Event()

    def first() -> None:
        with borrow():
            both.wait(5)
        one_left.set()

    def second() -> None:
        with borrow():
            both.wait(5)
            one_left.wait(5)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(first), pool.submit(second)]:
            done.result()


def test_opencv_speaks_again_after_two_threads() -> None:
    before = _LEVEL()
    assert before != _SILENT
    with quiet_opencv():
        assert _LEVEL() == _SILENT
    overlap(quiet_opencv)
    assert _LEVEL() == before


def test_many_threads_read_images(tmp_path: Path) -> None:
    good, torn = tmp_path / "good.png", tmp_path / "torn.jpg"
    assert cv2.imwrite(str(good), np.zeros((16, 16, 3), np.uint8))
    torn.write_bytes(b"\xff\xd8\xff torn")
    before = _LEVEL()

    def read(number: int) -> None:
        if number % 2:
            read_image(good)
            return
        with pytest.raises(SourceError):
            read_image(torn)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(400)))
    assert _LEVEL() == before


def test_a_level_that_the_host_chose_meanwhile_stays() -> None:
    before = _LEVEL()
    try:
        with quiet_opencv():
            opencv_logging().setLogLevel(_INFO)
        assert _LEVEL() == _INFO
    finally:
        opencv_logging().setLogLevel(before)


def test_warnings_and_loggers_come_back_after_two_threads() -> None:
    level = logging.getLogger("torch").level
    filters = list(warnings.filters)
    overlap(no_warnings)
    overlap(Borrowed(lambda: loggers_at(logging.CRITICAL, "torch")))
    assert warnings.filters == filters
    assert logging.getLogger("torch").level == level


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_is_not_left_silent(tmp_path: Path) -> None:
    """Of a process forked while another thread reads an image, nobody would put it back."""
    code = f"""
import os, sys, threading
import cv2, numpy as np
from depthrt.sources.images import opencv_logging, quiet_opencv, read_image
assert cv2.imwrite({str(tmp_path / "a.png")!r}, np.zeros((16, 16, 3), np.uint8))
before, inside, end = opencv_logging().getLogLevel(), threading.Event(), threading.Event()
def hold():
    with quiet_opencv():
        inside.set()
        end.wait()
thread = threading.Thread(target=hold)
thread.start()
inside.wait()
child = os.fork()
if not child:
    read_image({str(tmp_path / "a.png")!r})
    os._exit(opencv_logging().getLogLevel() != before)
status = os.waitpid(child, 0)[1]
end.set()
thread.join()
sys.exit(status or opencv_logging().getLogLevel() != before)
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=30)


def in_a_fresh_process(code: str, **variables: str) -> Any:
    """What code prints as JSON."""
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, **variables},
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout)


def test_importing_and_running_leaves_the_environment(
    make_clip: MakeClip, model_path: Path
) -> None:
    code = f"""
import json, os
import cv2, av  # OpenCV sets variables for its own Qt
before = dict(os.environ)
import depthrt
from depthrt import *
model = depthrt.DepthModel.load({str(model_path)!r}, provider="cpu")
assert len(list(depthrt.stream({str(make_clip())!r}, model))) == 25
after = dict(os.environ)
print(json.dumps(sorted(set(before.items()) ^ set(after.items()))))
"""
    assert in_a_fresh_process(code) == []


@pytest.mark.slow
def test_importing_the_exporter_leaves_the_environment() -> None:
    code = """
import json, os
import cv2, av, torch, onnx, onnxruntime
before = dict(os.environ)
import depthrt_export.build.build, depthrt_benchmarks.common.report.mlflow_log
print(json.dumps(sorted(set(before.items()) ^ set(os.environ.items()))))
"""
    assert in_a_fresh_process(code) == []


def test_a_variable_of_the_host_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPTHRT_TEST", "theirs")
    undo = default_variables({"DEPTHRT_TEST": "ours", "DEPTHRT_TEST_NEW": "ours"})
    assert (os.environ["DEPTHRT_TEST"], os.environ["DEPTHRT_TEST_NEW"]) == ("theirs", "ours")
    undo()
    assert os.environ["DEPTHRT_TEST"] == "theirs"
    assert "DEPTHRT_TEST_NEW" not in os.environ


def scheduling() -> tuple[int, int | None]:
    policy = os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else None
    return cv2.getNumThreads(), policy


@pytest.fixture
def two_threads() -> Any:
    """OpenCV with two threads, whatever the machine has."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    yield
    cv2.setNumThreads(before)


@pytest.mark.usefixtures("two_threads")
def test_a_job_in_a_host_leaves_threads_and_scheduling(
    make_clip: MakeClip, model_path: Path, tmp_path: Path
) -> None:
    before = scheduling()
    summary = execute(Job(str(make_clip()), tmp_path / "out.mp4", str(model_path)))
    assert summary.frames == 25
    assert scheduling() == before


@pytest.mark.usefixtures("two_threads")
def test_the_command_schedules_itself_and_puts_that_back() -> None:
    before = scheduling()
    assert not is_own_process()
    in_own_process(prefer_throughput)
    assert scheduling() == before
    with own_process():
        assert is_own_process()
        in_own_process(prefer_throughput)
        in_own_process(prefer_throughput)
        assert cv2.getNumThreads() == 1
    assert scheduling() == before


def test_the_command_of_its_own_process_prefers_throughput(
    make_clip: MakeClip, model_path: Path, tmp_path: Path
) -> None:
    """Seen from outside: the policy of the command's main thread while it runs."""
    if not hasattr(os, "sched_getscheduler"):
        pytest.skip("no scheduling policies here")
    clip = make_clip(frames=400)
    process = spawn("run", clip, "-m", model_path, "-o", tmp_path / "out.mp4")
    seen = set()
    while process.poll() is None:
        try:
            seen.add(os.sched_getscheduler(process.pid))
        except ProcessLookupError:
            break
        time.sleep(0.02)
    process.communicate()
    assert process.returncode == 0
    assert os.SCHED_BATCH in seen


def test_onnxruntime_keeps_the_level_of_the_host(
    model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot be read, so that it is not set."""
    import onnxruntime

    levels: list[int] = []
    monkeypatch.setattr(onnxruntime, "set_default_logger_severity", levels.append)
    DepthModel.load(model_path, provider="cpu")
    assert levels == []
    with own_process():
        DepthModel.load(model_path, provider="cpu")
    assert levels == [4, 2]


def test_streams_in_threads_leave_levels_and_threads(
    make_clip: MakeClip, model: DepthModel
) -> None:
    before = (_LEVEL(), cv2.getNumThreads(), list(warnings.filters), dict(os.environ))

    def run(_: int) -> int:
        return len(list(stream(make_clip(), model)))

    make_clip()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(4))) == [25] * 4
    assert (_LEVEL(), cv2.getNumThreads(), list(warnings.filters), dict(os.environ)) == before

"""Libraries are kept quiet in the thread that asks for it, and all is put back."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from depthrt_export.console import Phases, quiet_quantiser, quiet_torch


def test_only_the_quiet_thread_is_muted(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = io.StringIO()
    monkeypatch.setattr(sys, "stderr", heard)
    inside, spoken = threading.Event(), threading.Event()

    def other() -> None:
        inside.wait(5)
        sys.stderr.write("other\n")
        spoken.set()

    thread = threading.Thread(target=other)
    thread.start()
    with quiet_torch():
        sys.stderr.write("torch\n")
        inside.set()
        spoken.wait(5)
        sys.stderr.write("torch again\n")
    thread.join()
    sys.stderr.write("after\n")
    assert heard.getvalue() == "other\nafter\n"
    assert sys.stderr is heard


def test_threads_that_overlap_put_everything_back() -> None:
    stderr, filters = sys.stderr, list(warnings.filters)
    level, disabled = logging.getLogger("torch").level, logging.root.manager.disable
    both, one_left = threading.Barrier(2), threading.Event()

    def first() -> None:
        with quiet_torch(), quiet_quantiser():
            both.wait(5)
        one_left.set()

    def second() -> None:
        with quiet_torch(), quiet_quantiser():
            both.wait(5)
            one_left.wait(5)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(first), pool.submit(second)]:
            done.result()
    assert sys.stderr is stderr
    assert warnings.filters == filters
    assert logging.getLogger("torch").level == level
    assert logging.root.manager.disable == disabled


def test_a_host_that_disabled_more_is_not_undone() -> None:
    logging.disable(logging.CRITICAL)
    try:
        with quiet_quantiser():
            assert logging.root.manager.disable == logging.CRITICAL
        assert logging.root.manager.disable == logging.CRITICAL
    finally:
        logging.disable(logging.NOTSET)


@pytest.mark.parametrize("quiet", [False, True])
def test_what_takes_long_is_said_where_there_is_no_terminal(
    quiet: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("depthrt_export.console.time.perf_counter", lambda: now[0])
    monkeypatch.setattr(Phases, "LONG_S", 10.0)
    phases = Phases(quiet=quiet)
    with phases("trace"):
        now[0] += 4
    with phases("search"):
        for name in "abcdef":
            now[0] += 6
            phases.say(name)
    lines = ["search: b, 12 s", "search: c, 18 s", "search: e, 30 s", "search: done, 36 s"]
    assert capsys.readouterr().err.splitlines() == ([] if quiet else lines)
    assert phases.times_s == {"trace": 4, "search": 36}


def test_the_time_of_a_phase_inside_another_counts_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now_s[0])
    phases = Phases(quiet=True)
    with phases("outer"):
        now_s[0] += 1
        with phases("inner"):
            now_s[0] += 20
        now_s[0] += 2
        with contextlib.suppress(KeyError), phases("fails"):
            now_s[0] += 4
            raise KeyError
    with phases("after"):
        now_s[0] += 8
    assert phases.times_s == {"inner": 20, "outer": 7, "after": 8}

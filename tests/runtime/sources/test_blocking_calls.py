"""Calls that may block: Ctrl-C is heard meanwhile, and each has its own outcome."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from depthrt.sources.blocking_calls import call, call_all

pytestmark = pytest.mark.usefixtures("no_thread_is_left")
_PROMPT_S = 20.0  # a moment on an idle machine; the call blocks for 60


def test_ctrl_c_is_heard_while_a_source_is_opened() -> None:
    let_go, discarded = threading.Event(), threading.Event()

    def slow() -> str:
        let_go.wait(60)
        return "opened"

    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    begin_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        call(slow, lambda opened: discarded.set())
    assert time.monotonic() - begin_s < _PROMPT_S
    let_go.set()
    assert discarded.wait(_PROMPT_S), "what was opened after all is closed"


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

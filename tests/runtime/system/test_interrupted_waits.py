"""Ctrl-C in the one step of a condition's wait of which the standard library makes an error."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from fractions import Fraction
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import pytest

from depthrt import DepthModel, Frame, SourceInfo, stream
from depthrt.sources.base import Losses
from depthrt.sources.blocking_calls import call_all
from depthrt.system.interrupts import terminable


class Slow:
    """Gives a frame every 20 ms: who asks for depth has to wait."""

    def __init__(self) -> None:
        self.info = SourceInfo("slow", (48, 64))
        self.losses = Losses()

    def frames(self) -> Iterator[Frame]:
        for index in range(100):
            time.sleep(0.02)
            yield Frame(np.zeros((48, 64, 3), np.uint8), index, Fraction(index, 25), "slow")


def interrupt_wait(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C right after this thread gave a condition's lock up, before its wait ``number``."""
    prepare, main = threading.Condition.__init__, threading.current_thread()
    counted = count()

    def init(condition: Any, lock: Any = None) -> None:
        prepare(condition, lock)
        give_up = condition._release_save

        def interrupted() -> object:
            state = give_up()
            if threading.current_thread() is main and next(counted) == number:
                os.kill(os.getpid(), signal.SIGINT)
            return state

        condition._release_save = interrupted

    monkeypatch.setattr(threading.Condition, "__init__", init)


@pytest.mark.usefixtures("no_thread_is_left")
@pytest.mark.parametrize("number", range(8))  # the first ones wait for threads to start
@pytest.mark.parametrize("handled", [False, True])
def test_it_may_come_between_a_condition_and_its_wait(
    model: DepthModel, monkeypatch: pytest.MonkeyPatch, handled: bool, number: int
) -> None:
    interrupt_wait(number, monkeypatch)
    with terminable() if handled else nullcontext():
        results = stream(Slow(), model)
        with pytest.raises(KeyboardInterrupt):
            list(results)
        assert list(results) == []


@pytest.mark.parametrize("number", range(3))
def test_it_may_come_so_while_sources_are_opened(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def opening(after_s: float) -> str:
        time.sleep(after_s)
        return "opened"

    interrupt_wait(number, monkeypatch)
    calls = [partial(opening, after_s) for after_s in (0.1, 0.2, 0.3)]  # a wait for each
    with pytest.raises(KeyboardInterrupt), terminable():
        call_all(calls, lambda opened: None)

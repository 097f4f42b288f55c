"""Ctrl-C, SIGTERM and SIGHUP: they end a job early, and never break off what finishes its outputs.

The first raises KeyboardInterrupt. While a frame is written or outputs are finished, the next is
only noted, and what may take long is left out (see :func:`is_noted`); one more raises again.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_DEFAULTS: dict[signal.Signals, Callable[[int, FrameType | None], object] | signal.Handlers] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}


class _Handler:
    """What the signals do: raise, or be noted while they are held back."""

    def __init__(self) -> None:
        self.holding = self.noted = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.holding and not self.noted:
            self.noted = True
            return
        self.holding, self.noted = True, False
        raise KeyboardInterrupt


_active: _Handler | None = None  # signals are the process's, and so is what they do


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a job as Ctrl-C does.

    In the main thread alone, as Python has it; a signal that somebody else handles or ignores is
    left to them.
    """
    global _active
    if _active is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = _active = _Handler()
    free = [number for number, was in _DEFAULTS.items() if signal.getsignal(number) is was]
    try:
        for number in free:
            signal.signal(number, handler)
        yield
    finally:
        _active = None
        for number in free:
            signal.signal(number, _DEFAULTS[number])


def hold() -> None:
    """From now on, to the end of :func:`terminable`: the next signal is noted, not raised."""
    if _active is not None:
        _active.holding = True


@contextmanager
def held() -> Iterator[None]:
    """Hold signals back for a block; :func:`raise_noted` then makes up for one that came."""
    handler = _active
    if handler is None or handler.holding:
        yield
        return
    handler.holding = True
    try:
        yield
    finally:
        handler.holding = False


def raise_noted() -> None:
    """Raise what was noted in a block that held it back.

    Raises:
        KeyboardInterrupt: a signal came.
    """
    if _active is not None and _active.noted and not _active.holding:
        _active(signal.SIGINT, None)


def is_noted() -> bool:
    """Whether a signal came while signals were held back: somebody waits for the end."""
    return _active is not None and _active.noted

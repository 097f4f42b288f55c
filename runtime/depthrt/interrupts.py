"""Ctrl-C, SIGTERM and SIGHUP: they end a job early, and never break off what finishes its outputs.

The first raises KeyboardInterrupt. While a frame is written, outputs are finished or the job is
wound up, the next is only noted, and what may take long is left out (see :func:`is_noted`); one
more raises again.
"""

from __future__ import annotations

import atexit
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from depthrt.errors import DepthrtError

_DEFAULTS: dict[signal.Signals, Callable[[int, FrameType | None], object] | signal.Handlers] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}
_WINDING_UP_S = 2.0  # so long a raised interrupt may take to reach whoever catches it


class _Handler:
    """What the signals do: raise, or be noted while they are held back."""

    def __init__(self) -> None:
        self.holding = self.noted = self.is_over = False
        self.raised_s: float | None = None  # when, by time.monotonic; None once it was caught

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.is_over:
            return
        winding_up = self.raised_s is not None and time.monotonic() - self.raised_s < _WINDING_UP_S
        if (self.holding or winding_up) and not self.noted:
            self.noted = True
            return
        self.interrupt()

    def interrupt(self) -> None:
        self.noted, self.raised_s = False, time.monotonic()
        raise KeyboardInterrupt


_active: _Handler | None = None  # signals are the process's, and so is what they do


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a job as Ctrl-C does.

    In the main thread alone, as Python has it; a signal that somebody else handles or ignores is
    left to them. Within a block of this kind another changes nothing.

    Raises:
        KeyboardInterrupt: also where code in between made another error of it, as imports do.
    """
    handler = _active
    if handler is None and threading.current_thread() is threading.main_thread():
        with _installed(), terminable():
            yield
        return
    try:
        yield
    except (DepthrtError, ImportError) as error:
        if handler is None or handler.raised_s is None:
            raise
        raise KeyboardInterrupt from error


@contextmanager
def _installed() -> Iterator[None]:
    global _active
    handler = _active = _Handler()
    free = [number for number, default in _DEFAULTS.items() if _is_free(number, default)]
    try:
        for number in free:
            signal.signal(number, handler)
        yield
    finally:
        _active = None
        for number in free:
            signal.signal(number, handler if handler.is_over else _DEFAULTS[number])


def _is_free(number: signal.Signals, default: object) -> bool:
    """Whether nobody handles or ignores a signal, but a job that is over."""
    current = signal.getsignal(number)
    return current is default or isinstance(current, _Handler)


def hold() -> None:
    """The interrupt was caught, or none came: to the end of the job the next one is only noted."""
    if _active is not None:
        _active.holding, _active.raised_s = True, None


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
    """Raise an interrupt that was held back, or that was raised where nobody hands it on.

    Raises:
        KeyboardInterrupt: one came.
    """
    handler = _active
    if handler is None or handler.holding:
        return
    if handler.noted or handler.raised_s is not None:
        handler.interrupt()


def leave() -> None:
    """The process was interrupted and ends: what comes now would only change its exit code."""
    if _active is not None:
        _active.is_over = True
        atexit.register(_ignore)  # Python sets handlers of its own back to the default at the end


def _ignore() -> None:
    for number in _DEFAULTS:
        if isinstance(signal.getsignal(number), _Handler):
            signal.signal(number, signal.SIG_IGN)


def is_noted() -> bool:
    """Whether a signal came while signals were held back: somebody waits for the end."""
    return _active is not None and _active.noted

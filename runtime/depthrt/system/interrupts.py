"""Ctrl-C, SIGTERM and SIGHUP: they end a job early, and leave its outputs usable.

The first signal raises KeyboardInterrupt. While a frame is written or outputs are closed, signals
are held back: one is only noted, and what may take long is left out (see :func:`is_noted`); another
one raises KeyboardInterrupt.
"""

from __future__ import annotations

import atexit
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from depthrt.errors import DepthrtError

_DEFAULTS: dict[signal.Signals, Callable[[int, FrameType | None], object] | signal.Handlers] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}
if hasattr(signal, "SIGHUP"):  # Windows has none
    _DEFAULTS[signal.SIGHUP] = signal.SIG_DFL
_WINDING_UP_S = 2.0  # how long a raised interrupt may take until it is caught


class _Handler:
    """Handles the signals: raises KeyboardInterrupt, or notes a signal that is held back."""

    def __init__(self) -> None:
        self.holding = self.noted = self.is_over = self.is_due = False
        self.raised_s: float | None = None  # by time.monotonic; None once it was caught

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.is_over:
            return
        winding_up = self.raised_s is not None and time.monotonic() - self.raised_s < _WINDING_UP_S
        if (self.holding or winding_up) and not self.noted:
            self.noted = self.is_due = True
            return
        self.interrupt()

    def interrupt(self) -> None:
        self.noted, self.is_due, self.raised_s = False, True, time.monotonic()
        raise KeyboardInterrupt


_active: _Handler | None = None  # one for the process, as signals are


class Interrupts(Protocol):
    """What a loop asks at every turn.

    - ``is_due``: an interrupt came, and nobody has caught it: :func:`raise_noted` may raise it.
    """

    is_due: bool


@contextmanager
def terminable() -> Iterator[Interrupts]:
    """Let SIGTERM and SIGHUP end a job as Ctrl-C does.

    It has an effect in the main thread only, which is where Python handles signals, and only for
    signals that nobody else handles or ignores. Inside such a block another one has no effect.

    Raises:
        KeyboardInterrupt: also if other code has turned it into another error, as imports do.
    """
    handler = _active
    if handler is None and threading.current_thread() is threading.main_thread():
        with _installed(), terminable() as interrupts:
            yield interrupts
        return
    try:
        yield handler or _Handler()
    except (DepthrtError, ImportError) as error:
        if handler is None or handler.raised_s is None:
            raise
        raise KeyboardInterrupt from error
    except RuntimeError as error:
        raise_interrupt_behind(error)
        raise


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
    """Whether nobody handles or ignores a signal, except a job that is over."""
    current = signal.getsignal(number)
    return current is default or isinstance(current, _Handler)


def hold() -> None:
    """Hold signals back to the end of the job; a KeyboardInterrupt before that counts as caught."""
    if _active is not None:
        _active.holding, _active.raised_s = True, None
        _active.is_due = _active.noted


@contextmanager
def held() -> Iterator[None]:
    """Hold signals back during a block; :func:`raise_noted` then raises one that came."""
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
    """Raise an interrupt that was held back, or that other code has swallowed.

    Raises:
        KeyboardInterrupt: there is one.
    """
    handler = _active
    if handler is None or handler.holding:
        return
    if handler.noted or handler.raised_s is not None:
        handler.interrupt()


def raise_interrupt_behind(error: BaseException) -> None:
    """Raise the interrupt of which the standard library has made an error.

    ``Condition.wait`` gives its lock up in a step of its own. Ctrl-C right after that step leaves
    without the lock, and the ``with`` around it raises "cannot release un-acquired lock".

    Raises:
        KeyboardInterrupt: it is behind ``error``.
    """
    # Not one of its subclasses: typer.Exit is one, raised where an interrupt was reported.
    if type(error) is RuntimeError and isinstance(error.__context__, KeyboardInterrupt):
        raise KeyboardInterrupt from error


def is_raised() -> bool:
    """Whether an interrupt was raised that nobody has caught: an error may come of it."""
    return _active is not None and _active.raised_s is not None


def leave() -> None:
    """Ignore signals from now on: the process ends, and they would only change its exit code."""
    if _active is not None:
        _active.is_over = True
        atexit.register(_ignore)  # Python resets its own handlers at the end


def _ignore() -> None:
    for number in _DEFAULTS:
        if isinstance(signal.getsignal(number), _Handler):
            signal.signal(number, signal.SIG_IGN)


def is_noted() -> bool:
    """Whether a signal was held back: somebody waits for the end."""
    return _active is not None and _active.noted

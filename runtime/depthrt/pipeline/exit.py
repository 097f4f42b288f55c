"""Streams that are open when the interpreter exits are ended before it goes."""

from __future__ import annotations

import atexit
import os
import threading
import time
from typing import Protocol
from weakref import WeakSet

_BUSY_S = 10.0  # that an inference or a decoder under way is waited for
_LOOK_S = 0.005


class Endable(Protocol):
    """What has threads."""

    @property
    def is_busy(self) -> bool:
        """Whether one of them is where it may not be ended."""

    def cancel(self) -> None:
        """Ask it to end; wait for nobody."""

    def close(self) -> None:
        """End it, and wait for it a second at most."""


_open: WeakSet[Endable] = WeakSet()
_lock = threading.Lock()
_registered = False


def end_at_exit(running: Endable) -> None:
    """Remember something to be ended when the interpreter exits, unless it is gone by then."""
    global _registered
    with _lock:
        _open.add(running)
        if not _registered:
            atexit.register(_end_all)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=_forget_all)
            _registered = True


def _forget_all() -> None:
    """In a child of ``fork``, where none of the threads is."""
    global _lock
    _lock = threading.Lock()  # somebody may have held the other one
    _open.clear()


def _end_all() -> None:
    """End what is open. Threads inside native code would abort the process later."""
    with _lock:
        running = list(_open)
    for each in running:
        each.cancel()
    for each in running:
        each.close()
    deadline_s = time.monotonic() + _BUSY_S
    while any(each.is_busy for each in running) and time.monotonic() < deadline_s:
        time.sleep(_LOOK_S)

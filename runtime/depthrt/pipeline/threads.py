"""Threads that belong together: how they start, how they end, and the lock they share.

How they end, whoever ends them (``close``, an error, Ctrl-C, a finaliser, the interpreter's exit):

1. ``cancel`` sets ``over`` and wakes all threads, from whatever thread. It waits for nobody.
2. Every thread leaves at its next look at ``over``; none waits longer than a second without one.
3. ``close`` cancels, then waits for the threads, a second at most. A thread that is still held up
   is left to itself: it is a daemon.
4. A finaliser may run in any thread, in the middle of anything. ``abandon`` therefore only sets
   ``over``, and wakes the threads if it gets the lock at once.
5. At the interpreter's exit all groups are cancelled and closed. One that is inside native code
   then is waited for longer: it would abort the process.
6. A child of ``fork`` has none of the threads: nothing is ended there.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable
from weakref import WeakSet

CLOSE_S = 0.8  # that closing waits for threads
LOOK_S = 1.0  # that a thread waits at most without a look at whether it is to end
_BUSY_S = 10.0  # that the interpreter's exit waits for an inference or a decoder
_BUSY_LOOK_S = 0.005


class ThreadGroup:
    """Threads that end together.

    - ``lock``: it is re-entrant and guards what they share. It is entered itself, not through
      ``changed``: Ctrl-C cannot come between taking it and the block, which would keep it for ever;
    - ``changed``: the condition of this lock that they wait on;
    - ``over``: whether they are to end;
    - ``is_forked``: whether they run in the parent of this process, and not here.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.over = False
        self.is_forked = False
        self._threads: list[threading.Thread] = []
        self._close_by_s: float | None = None  # when the threads have been waited for long enough

    @property
    def is_busy(self) -> bool:
        """Whether a thread is inside native code, which may not be left when the process goes."""
        return False

    def start_thread(self, run: Callable[[], None], name: str) -> threading.Thread:
        """Start a thread, unless the group is over; the interpreter's exit ends it from now on."""
        _end_at_exit(self)
        thread = threading.Thread(target=run, name=f"depthrt-{name}", daemon=True)
        with self.lock:
            if not self.over:
                thread.start()
                self._threads.append(thread)
        return thread

    def cancel(self) -> None:
        """Ask the threads to end, from whatever thread, and wait for nobody."""
        self.over = True
        if not self.is_forked:
            with self.lock:
                self.changed.notify_all()

    def abandon(self) -> None:
        """Ask the threads to end from a finaliser."""
        self.over = True
        if not self.is_forked and self.lock.acquire(blocking=False):
            self.changed.notify_all()
            self.lock.release()

    def close(self, wait_s: float = CLOSE_S) -> None:
        """End the threads and wait for them, but not for one that is held up.

        Closed again, it waits no longer than ``wait_s`` seconds from the first time.
        """
        self.cancel()
        if self.is_forked:
            return
        with self.lock:
            threads = list(self._threads)
            if self._close_by_s is None:
                self._close_by_s = time.monotonic() + wait_s
            close_by_s = self._close_by_s
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, close_by_s - time.monotonic()))


_open: WeakSet[ThreadGroup] = WeakSet()
_lock = threading.Lock()
_registered = False


def _end_at_exit(group: ThreadGroup) -> None:
    """Remember a group to be ended when the interpreter exits, unless it is gone by then."""
    global _registered
    with _lock:
        _open.add(group)
        if not _registered:
            atexit.register(_end_all)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=_forget_all)
            _registered = True


def _forget_all() -> None:
    """In a child of ``fork``, where none of the threads is."""
    global _lock
    _lock = threading.Lock()  # somebody may have held the other one
    for group in _open:
        group.is_forked = True
    _open.clear()


def _end_all() -> None:
    with _lock:
        groups = list(_open)
    for group in groups:
        group.cancel()
    for group in groups:
        group.close()
    deadline_s = time.monotonic() + _BUSY_S
    while any(group.is_busy for group in groups) and time.monotonic() < deadline_s:
        time.sleep(_BUSY_LOOK_S)

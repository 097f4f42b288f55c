"""What a host process has that a stream must leave as it was."""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import av.logging
import cv2

from depthrt.sources.images import opencv_logging
from stress.case import Case, WrongError

_LOCKS = (type(threading.Lock()), type(threading.RLock()))
_NO_FILES = ("/proc/", "/dev/", "anon_inode:[event", "/sys/")


@dataclass(frozen=True)
class State:
    """The global state of the process at one moment."""

    values: dict[str, Any]
    files: dict[str, str]
    threads: frozenset[int]

    @classmethod
    def now(cls) -> State:
        """Look."""
        values = {
            "OpenCV's log level": opencv_logging().getLogLevel(),
            "OpenCV's threads": cv2.getNumThreads(),
            "FFmpeg's log level": av.logging.get_level(),
            "the environment": dict(os.environ),
            "the working folder": str(Path.cwd()),
            "the scheduling": os.sched_getscheduler(0),
            "the niceness": os.getpriority(os.PRIO_PROCESS, 0),
            "the cores": sorted(os.sched_getaffinity(0)),
            "signal handlers": {
                number: repr(signal.getsignal(number)) for number in signal.valid_signals()
            },
            "the switch interval": sys.getswitchinterval(),
            "the hooks": (sys.excepthook, threading.excepthook, sys.unraisablehook),
            "whether gc is enabled": gc.isenabled(),
            "gc's thresholds": gc.get_threshold(),
            "the file mode mask": _umask(),
        }
        alive = frozenset(t.ident for t in threading.enumerate() if t.ident is not None)
        return cls(values, open_files(), alive)


def _umask() -> int:
    mask = os.umask(0o22)
    os.umask(mask)
    return mask


def open_files() -> dict[str, str]:
    """File descriptors and what they are open on."""
    found = {}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
        except OSError:
            continue  # the listing's own
    return {name: place for name, place in found.items() if not place.startswith(_NO_FILES)}


def set_host(rng: random.Random) -> None:
    """Set what a host may have set, to values that nobody sets by chance."""
    cv2.setNumThreads(rng.choice([1, 2, 3]))
    opencv_logging().setLogLevel(rng.choice([2, 3, 4]))


def rss_mb() -> float:
    """Memory that the process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Unraised:
    """Collects what finalisers and threads raised with nobody to catch it."""

    def __init__(self) -> None:
        self.said: list[str] = []
        sys.unraisablehook = self._unraisable
        threading.excepthook = self._thread

    def _unraisable(self, found: sys.UnraisableHookArgs, /) -> None:
        where = f"{found.err_msg or 'a finaliser'} {type(found.object).__name__}"
        self.said.append(f"{where}: {found.exc_type.__name__}: {found.exc_value}")

    def _thread(self, found: threading.ExceptHookArgs, /) -> None:
        name = found.thread.name if found.thread else "a thread"
        self.said.append(f"{name}: {found.exc_type.__name__}: {found.exc_value}")

    def take(self) -> list[str]:
        """What there is, once."""
        said, self.said = self.said, []
        return said


def check(before: State, case: Case, unraised: Unraised) -> None:
    """Compare with the state before; threads and files are given some time.

    Raises:
        WrongError: something is left or was changed.
    """
    gc.collect()
    deadline_s = time.monotonic() + case.patience_s
    left = _left(before)
    while left and time.monotonic() < deadline_s:
        time.sleep(0.02)
        gc.collect()
        left = _left(before)
    now = State.now()
    left += [
        f"{name}: was {_short(value, now.values[name])}, is {_short(now.values[name], value)}"
        for name, value in before.values.items()
        if now.values[name] != value
    ]
    left += _held_locks() + unraised.take()
    if not _collects():
        left.append("gc.collect() frees no cycle any more")
    if left:
        raise WrongError("; ".join(left))


def _left(before: State) -> list[str]:
    threads = [
        f"thread {thread.name}"
        for thread in threading.enumerate()
        if thread.ident not in before.threads
    ]
    known = sorted(before.files.values())
    files = []
    for place in open_files().values():
        kind = place.split(":")[0]
        if place in known:
            known.remove(place)
        elif kind not in ("socket", "pipe") or len(_kind(kind)) > _count(before, kind):
            files.append(f"file {place}")
    return threads + files


def _kind(kind: str) -> list[str]:
    return [place for place in open_files().values() if place.startswith(kind + ":")]


def _count(before: State, kind: str) -> int:
    return sum(place.startswith(kind + ":") for place in before.files.values())


def _short(value: Any, other: Any) -> str:
    if isinstance(value, dict) and isinstance(other, dict):
        value = {k: v for k, v in value.items() if other.get(k) != v}
    return repr(value)[:200]


def _held_locks() -> list[str]:
    held = []
    for module_name, module in list(sys.modules.items()):
        if module_name.split(".")[0] != "depthrt":
            continue
        for name, value in list(vars(module).items()):
            places = {name: value}
            if isinstance(value, type) and value.__module__ == module_name:
                places = {f"{name}.{key}": inner for key, inner in vars(value).items()}
            for place, lock in places.items():
                if isinstance(lock, _LOCKS):
                    if lock.acquire(timeout=1.0):
                        lock.release()
                    else:
                        held.append(f"lock {module_name}.{place} is held")
    return held


class _Cycle:
    def __init__(self) -> None:
        self.itself = self


def _collects() -> bool:
    made = _Cycle()
    gone = weakref.ref(made)
    del made
    gc.collect()
    return gone() is None


class Timer:
    """Do something in a thread after a while; leaving the ``with`` block waits for it."""

    def __init__(self, seconds: float, act: Callable[[], object]) -> None:
        self._timer = threading.Timer(seconds, act)
        self._timer.daemon = True

    def __enter__(self) -> Timer:
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.join(10)

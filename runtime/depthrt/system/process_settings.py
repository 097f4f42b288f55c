"""Settings of the whole process: changed for a while and restored, as they belong to the host.

The process of the ``depthrt`` command (:func:`own_process`) has no host: there a setting may stay
changed until the command ends.
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TypeAlias

Undo: TypeAlias = "Callable[[], None]"


class Borrowed:
    """A setting of the whole process that several threads may change at the same time.

    The first thread changes it and the last one restores it. If each restored what it had found,
    two that overlap could leave it changed.

    Args:
        change: changes the setting and returns a function that undoes the change.
    """

    def __init__(self, change: Callable[[], Undo]) -> None:
        self._change = change
        self._lock = threading.Lock()
        self._borrowers = 0
        self._undo: Undo | None = None
        self._survives_fork = False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Keep the setting changed for a block."""
        with self._lock:
            if not self._survives_fork and hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=self._after_fork)
                self._survives_fork = True
            if self._borrowers == 0:
                self._undo = self._change()
            self._borrowers += 1
        process = os.getpid()
        try:
            yield
        finally:
            if os.getpid() == process:
                self._give_back()

    def _give_back(self) -> None:
        with self._lock:
            self._borrowers -= 1
            if self._borrowers == 0 and self._undo is not None:
                undo, self._undo = self._undo, None
                undo()

    def _after_fork(self) -> None:
        """Restore the setting in a forked child, which lacks the threads that would do so."""
        self._lock = threading.Lock()
        self._borrowers = 0
        undo, self._undo = self._undo, None
        if undo is not None:
            undo()


def default_variables(variables: Mapping[str, str]) -> Undo:
    """Set environment variables that are not set; the undo removes those nobody changed since."""
    ours = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(ours)

    def undo() -> None:
        for name, value in ours.items():
            if os.environ.get(name) == value:
                del os.environ[name]

    return undo


def loggers_at(level: int, *names: str) -> Undo:
    """Set the level of loggers; the undo restores those nobody changed since."""
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(level)

    def undo() -> None:
        for name, earlier in before.items():
            if logging.getLogger(name).level == level:
                logging.getLogger(name).setLevel(earlier)

    return undo


def _ignore_warnings() -> Undo:
    ignoring = warnings.catch_warnings()
    ignoring.__enter__()
    warnings.simplefilter("ignore")
    return lambda: ignoring.__exit__(None, None, None)


# One object for all callers: two could each restore the change of the other.
no_warnings = Borrowed(_ignore_warnings)
"""Ignore Python's warnings for a block."""

_own: ExitStack | None = None  # set while this process is the command's own


@contextmanager
def own_process() -> Iterator[None]:
    """Mark this process as the ``depthrt`` command's own for a block, then undo its changes."""
    global _own
    with ExitStack() as stack:
        before, _own = _own, stack
        try:
            yield
        finally:
            _own = before


def in_own_process(change: Callable[[], Undo]) -> None:
    """Change a setting for the rest of the command; elsewhere than in its process do nothing."""
    if _own is not None:
        _own.callback(change())


def is_own_process() -> bool:
    """Whether this process runs the ``depthrt`` command and nothing else."""
    return _own is not None

"""Locks on files that several processes write to, where the system has them."""

from __future__ import annotations

from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be removed anyway
    fcntl = None  # type: ignore[assignment]

HAS_LOCKS = fcntl is not None


def lock(file: int | IO[Any], *, shared: bool = False, wait: bool = True) -> None:
    """Lock an open file or folder until it is closed; without a lock of the system do nothing.

    Args:
        file: what is open.
        shared: others may hold a shared lock at the same time.
        wait: for whoever holds a lock that excludes this one.

    Raises:
        OSError: the file system has no locks, or somebody holds one and ``wait`` is false.
    """
    if fcntl is not None:
        how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(file, how if wait else how | fcntl.LOCK_NB)

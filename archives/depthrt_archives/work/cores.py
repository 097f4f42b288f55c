"""Cores of its own for each worker of a machine, whoever started it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import IO

from depthrt.system.cpu_cores import usable_cores


def claim_cores(cores: int) -> IO[bytes] | None:
    """Keep this process to so many cores that no other worker has, if there are such.

    A claim is a lock on a file, which the system gives up with the process, however that ends. So
    workers of several engines on one machine agree. Where all cores are claimed, or the system has
    no such locks, the process stays as it is.

    Returns:
        What holds the claim while it is open.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    import fcntl

    allowed = sorted(os.sched_getaffinity(0))
    if cores >= min(len(allowed), usable_cores()):
        return None
    for first in range(0, len(allowed) - cores + 1, cores):
        group = allowed[first : first + cores]
        name = f"depthrt-cores-{os.getuid()}-{group[0]}-{group[-1]}"
        file = (Path(tempfile.gettempdir()) / name).open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            continue
        os.sched_setaffinity(0, group)
        return file
    return None

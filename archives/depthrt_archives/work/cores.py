"""Cores of its own for each worker of a machine, whoever started it."""

from __future__ import annotations

import os
import socket

from depthrt.system.cpu_cores import usable_cores


def claim_cores(cores: int) -> socket.socket | None:
    """Keep this process to so many cores that no other worker has, if there are such.

    A claim is a name in Linux' abstract namespace of sockets, which has no file: the system gives
    it up with the process, however that ends. So workers of several engines on one machine agree.
    Where all cores are claimed, or the system has no such names, the process stays as it is.

    Returns:
        What holds the claim while it is open.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    if cores >= min(len(allowed), usable_cores()):
        return None
    for first in range(0, len(allowed) - cores + 1, cores):
        group = allowed[first : first + cores]
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0depthrt-cores-{os.getuid()}-{group[0]}-{group[-1]}")
        except OSError:
            claim.close()
            continue
        os.sched_setaffinity(0, group)
        return claim
    return None

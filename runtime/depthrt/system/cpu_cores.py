"""How many processor cores a process may use, in a container, too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from math import ceil
from pathlib import Path, PurePosixPath


def usable_cores() -> int:
    """Number of cores that this process may run on and whose time it may use."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return min(cores, quota_cores() or cores)


@cache
def quota_cores(root: Path = Path("/")) -> int | None:
    """How many cores' time the control groups of this process allow; None where they set no limit.

    Containers and services are limited so (``docker --cpus``, Kubernetes' limits, ``CPUQuota``),
    while the affinity mask still holds every core. Part of a core counts as a whole one.

    Args:
        root: below it lie ``proc/self/cgroup`` and ``sys/fs/cgroup``, of cgroup version 1 or 2.
    """
    mount = root / "sys/fs/cgroup"
    limits = [_limit(folder) for folder in _groups(root / "proc/self/cgroup", mount)]
    cores = [limit for limit in limits if limit is not None]
    return None if not cores else max(1, ceil(min(cores)))


def _groups(memberships: Path, mount: Path) -> Iterator[Path]:
    """The folders of the groups that limit this process: its own and those above it.

    A container may see the path that its group has on the host, and not the folders of it.
    """
    for line in _text(memberships).splitlines() or ["0::/"]:
        _, controllers, path = line.split(":", 2) if line.count(":") > 1 else ("", "", "/")
        if controllers and "cpu" not in controllers.split(","):
            continue
        parts = PurePosixPath(path).parts[1:]
        places = {controllers, "cpu"} if controllers else {"", "unified"}
        for place in places:
            for depth in range(len(parts) + 1):
                yield mount.joinpath(place, *parts[:depth])


def _limit(group: Path) -> float | None:
    """Cores of one group: its quota over its period, in version 2 in one file, in 1 in two."""
    words = _text(group / "cpu.max").split() or [
        *_text(group / "cpu.cfs_quota_us").split(),
        *_text(group / "cpu.cfs_period_us").split(),
    ]
    if len(words) != 2 or not all(word.isdecimal() for word in words):
        return None  # "max" and -1 are no limit
    quota, period = map(int, words)
    return quota / period if quota > 0 and period > 0 else None


def _text(file: Path) -> str:
    """What a file of the system says; empty where there is none."""
    try:
        return file.read_text()
    except (OSError, ValueError):
        return ""

"""What takes seconds to make is made by one of the processes of the tests, and read by all."""

from __future__ import annotations

import fcntl
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], T]) -> T:
    """What ``make`` returned, which writes into the folder that it is given.

    The first process that asks makes it; the others wait and get a copy of what was returned. No
    test changes a file in the folder.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # of all processes
    folder = base / f"once-{name}"
    folder.mkdir(exist_ok=True)
    kept = folder / "returned.pickle"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            made = folder / "made"
            made.mkdir(exist_ok=True)
            kept.write_bytes(pickle.dumps(make(made)))
    found: T = pickle.loads(kept.read_bytes())
    return found

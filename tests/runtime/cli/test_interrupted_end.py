"""How an interrupted process ends while a thread is still inside a library."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PROCESS = """
import atexit, sys, threading
from depthrt.cli import _end_at_once

interrupted = threading.Event()
atexit.register(_end_at_once, interrupted)
atexit.register(print, "taken down")
if {interrupted}:
    interrupted.set()
threading.Thread(target=threading.Event().wait, name={name!r}, daemon=True).start()
print("said")
sys.exit(7)
"""


@pytest.mark.parametrize(
    ("interrupted", "name", "code"),
    [
        (True, "depthrt-reader", 130),
        (True, "of-somebody-else", 7),
        (False, "depthrt-reader", 7),
    ],
)
def test_only_an_interrupted_process_that_is_held_up_ends_at_once(
    interrupted: bool, name: str, code: int
) -> None:
    script = _PROCESS.format(interrupted=interrupted, name=name)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "said\ntaken down\n", "")

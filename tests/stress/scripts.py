"""Programs in processes of their own, and how they ended."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stress.case import Case, WrongError, expect

_HANGS_S = 25.0

PRELUDE = """\
import atexit, gc, itertools, os, sys, threading, time
import numpy as np
import depthrt
KIT = {kit!r}
URL = {url!r}
def said(word):
    os.write(1, f"{{word}} {{time.monotonic()}}\\n".encode())
def images(count=None, blocks=False):
    for number in itertools.count() if count is None else range(count):
        yield np.full((48, 64, 3), number % 256, np.uint8)
    if blocks:
        threading.Event().wait()
"""


@dataclass(frozen=True)
class Ended:
    """How a program ended; ``at_s`` is on ``time.monotonic()``'s clock."""

    code: int
    out: str
    err: str
    at_s: float

    def word_s(self, word: str) -> float | None:
        """When the program said a word last."""
        times = [line.split()[1] for line in self.out.splitlines() if line.split()[:1] == [word]]
        return float(times[-1]) if times else None


def run_script(case: Case, body: str, url: str = "", hangs_s: float = _HANGS_S) -> Ended:
    """Run a Python program to its end.

    Raises:
        WrongError: it hangs.
    """
    path = case.folder / "script.py"
    path.write_text(PRELUDE.format(kit=str(case.kit.folder), url=url) + body)
    return finish(start([str(path)], case.folder), hangs_s)


def start(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    """A Python program under this interpreter."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        start_new_session=True,
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},  # a program that hangs or dies says where
    )


def start_command(arguments: list[Any], folder: Path) -> subprocess.Popen[str]:
    """``depthrt`` with these arguments."""
    code = "from depthrt.cli import main; main()"
    return start(["-c", code, *map(str, arguments)], folder)


def finish(process: subprocess.Popen[str], hangs_s: float = _HANGS_S) -> Ended:
    """Wait for the end of a program.

    Raises:
        WrongError: it hangs; it is killed.
    """
    try:
        out, err = process.communicate(timeout=hangs_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        _, err = process.communicate()
        raise WrongError(f"a program hangs for {hangs_s:g} s: {stacks(err)}") from None
    return Ended(process.returncode, out, err, time.monotonic())


def stacks(dumped: str) -> str:
    """The innermost frames of every thread that faulthandler told of."""
    told: list[str] = []
    depth = 0
    for line in dumped.splitlines():
        if "hread 0x" in line:
            told.append("thread:")
            depth = 0
        elif line.startswith("  File ") and depth < 5 and told:
            found = re.match(r'  File ".*?([^/"]+)", line (\d+) in (\S+)', line)
            told.append(f"{found[1]}:{found[2]} {found[3]} <" if found else line)
            depth += 1
    return " ".join(told) or dumped[-1500:]


def expect_clean(ended: Ended, codes: tuple[int, ...] = (0,)) -> None:
    """No crash, and nothing on standard error.

    Raises:
        WrongError: otherwise.
    """
    if ended.code < 0:
        raise WrongError(f"died of {signal.Signals(-ended.code).name}: {ended.err[-600:]}")
    expect(ended.code in codes, f"exit code {ended.code}: {ended.err[-600:]}")
    expect(not ended.err.strip(), f"on standard error: {ended.err[-600:]}")


def when_begun(process: subprocess.Popen[str], library: str, most_s: float = 20.0) -> None:
    """Wait until a program has loaded a native library, or has ended."""
    maps = Path(f"/proc/{process.pid}/maps")
    deadline_s = time.monotonic() + most_s
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            if library in maps.read_text():
                return
        except OSError:
            return
        time.sleep(0.005)

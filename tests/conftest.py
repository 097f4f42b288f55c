"""Fixtures that several tests share, and how many processes run the tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
_MOST_PROCESSES = 4  # each may hold PyTorch and networks: about 1 GiB


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run whole folders on all cores, each test file in one process.

    A file or a test named alone, ``-n 0``, ``-p no:xdist`` and ``--pdb`` run in this process. Tests
    of one file stay together, as its fixtures (exported networks) take longer than they do.
    """
    if hasattr(config, "workerinput"):  # this is such a process, and starts no others
        # PyTorch's threads wait for one another by spinning, which halves what side by side gains.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        return
    options = config.option
    unset = getattr(options, "numprocesses", 0) is None and options.dist == "no"
    if unset and not options.usepdb and any(Path(arg).is_dir() for arg in config.args):
        options.numprocesses = min(len(os.sched_getaffinity(0)), _MOST_PROCESSES)
        options.dist = "loadfile"


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the tests' own, so that what the user has tuned does not change how tests run."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(autouse=True, scope="session")
def listen_to_signals() -> None:
    """Undo ignored signals: shells start background commands with SIGINT so, nohup with SIGHUP."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def data() -> Path:
    """The shared depth data; tests that ask for it carry the marker ``data``."""
    folder = Path(os.environ.get("DEPTHRT_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no depth data at {folder} (set DEPTHRT_DATA)")
    return folder

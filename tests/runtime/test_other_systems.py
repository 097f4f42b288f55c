"""Systems that lack what Linux has: the commands run there, as far as that can be tried here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from depthrt import read_depth

# What Windows lacks, or macOS. A module that is None cannot be imported.
BARE = dedent(
    """
    import os, pathlib, signal, sys
    for name in ("resource", "fcntl", "pwd", "grp"):
        sys.modules[name] = None
    lacking = {
        os: "sched_getaffinity sched_getscheduler sched_setscheduler SCHED_BATCH fork "
            "register_at_fork nice setpriority getloadavg getuid geteuid pwrite pread statvfs",
        signal: "SIGHUP SIGUSR1 SIGUSR2 SIGALRM SIGPIPE pthread_sigmask sigwait",
    }
    for module, names in lacking.items():
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)
    read = pathlib.Path.read_text
    def read_text(path, *args, **kwargs):
        if str(path).startswith(("/proc", "/sys")):
            raise FileNotFoundError(path)
        return read(path, *args, **kwargs)
    pathlib.Path.read_text = read_text
    """
)


def on_a_bare_system(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BARE + code, *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def depthrt(*arguments: object) -> subprocess.CompletedProcess[str]:
    return on_a_bare_system("from depthrt.cli import main; main()", *arguments)


@pytest.mark.parametrize("output", ["o.npz", "o.mkv", "o.mp4", "o"])
def test_a_run(tmp_path: Path, output: str) -> None:
    target = tmp_path / output
    done = depthrt("run", "demo", "--max-frames", 3, "-o", target, "--jsonl", tmp_path / "lines")
    assert (done.returncode, done.stderr) == (0, "")
    assert len((tmp_path / "lines").read_text().splitlines()) == 3
    if output != "o.mp4":
        assert len(list(read_depth(target))) == 3


@pytest.mark.parametrize("command", ["doctor", "info depthrt-s", "models"])
def test_what_is_here(command: str) -> None:
    done = depthrt(*command.split(), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)


def test_every_command_is_there() -> None:
    done = depthrt("--help")
    assert done.returncode == 0
    assert "Cannot be loaded" not in done.stdout


@pytest.mark.parametrize(
    "module",
    [
        "depthrt_benchmarks.bench.compare.history",
        "depthrt_benchmarks.bench.measure.cold_start",
        "depthrt_benchmarks.evaluation.scoring.resume_file",
        "depthrt_export.console",
        "depthrt_calibration.cli",
    ],
)
def test_modules_are_imported(module: str) -> None:
    done = on_a_bare_system(f"import {module}")
    assert (done.returncode, done.stderr) == (0, "")


def test_locks_of_files_are_left_out_where_there_are_none(tmp_path: Path) -> None:
    code = """
        from pathlib import Path
        from depthrt_benchmarks.common.file_lock import HAS_LOCKS, lock
        from depthrt_benchmarks.evaluation.scoring.resume_file import ResumeFile
        assert not HAS_LOCKS
        with Path(sys.argv[1]).open("w") as file:
            lock(file)
    """
    done = on_a_bare_system(dedent(code), tmp_path / "file")
    assert (done.returncode, done.stderr) == (0, "")

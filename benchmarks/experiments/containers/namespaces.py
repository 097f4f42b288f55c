"""Processes in a root of their own, as a container engine starts them: by namespaces, as root."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

_ENTER = Path(__file__).with_name("enter.py")
_START_S = 10.0


@dataclass(frozen=True)
class Plan:
    """What runs in a root, and as whom; see `enter.py`.

    ``mounts`` are arguments of `mount`, one list each; None: those of the container are there.
    """

    root: str
    argv: list[str]
    workdir: str = "/"
    uid: int = 0
    gid: int = 0
    read_only: bool = False
    loopback: bool = False
    mounts: list[list[str]] | None = field(default_factory=list)


def bind(source: Path, target: Path) -> list[str]:
    """Arguments of `mount` that show a file or folder of this machine in a root."""
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    elif not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    return ["--bind", str(source), str(target)]


def _script(plan: Plan, wrapper: Sequence[str], folder: str) -> list[str]:
    if plan.mounts is not None:
        for name in ("proc", "dev"):
            Path(plan.root, name).mkdir(exist_ok=True)
    file = Path(tempfile.mkstemp(suffix=".json", dir=folder)[1])
    file.write_text(json.dumps(asdict(plan)))
    tool = shutil.which(wrapper[0]) or wrapper[0]  # on this machine's PATH, not the root's
    return [tool, *wrapper[1:], sys.executable, "-I", str(_ENTER), str(file)]


def build_step(plan: Plan, environment: Mapping[str, str]) -> None:
    """Run a step of a build, in this machine's network.

    Raises:
        CalledProcessError: it failed.
    """
    wrapper = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    with tempfile.TemporaryDirectory(prefix="replay-") as folder:
        subprocess.run(_script(plan, wrapper, folder), check=True, env=dict(environment))


@contextmanager
def network(name: str) -> Iterator[list[str]]:
    """A network of this machine's that has a loopback only; gives what runs a command in it."""
    subprocess.run(["ip", "netns", "add", name], check=True)
    within = ["nsenter", f"--net=/run/netns/{name}"]
    try:
        subprocess.run([*within, "ip", "link", "set", "lo", "up"], check=True)
        yield within
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


class Container:
    """A process with its own mounts, processes and network (a loopback only), until it is closed.

    Args:
        plan: what it runs.
        environment: of the process.
        log: what it writes goes here.
        network: the name of a network that it shares; empty: one of its own.
    """

    def __init__(
        self, plan: Plan, environment: Mapping[str, str], log: Path, network: str = ""
    ) -> None:
        self._plan, self._environment = plan, dict(environment)
        self._folder = tempfile.TemporaryDirectory(prefix="replay-")
        own = [] if network else ["--net"]
        flags = ["--mount", "--pid", *own, "--ipc", "--uts", "--fork", "--kill-child"]
        wrapper = ["nsenter", f"--net=/run/netns/{network}"] if network else []
        command = _script(plan, [*wrapper, "unshare", *flags], self._folder.name)
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            )

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()  # and with it, by --kill-child, the container
            self._process.wait()
        self._folder.cleanup()

    @property
    def init(self) -> int:
        """The number, on this machine, of the container's process 1.

        Raises:
            RuntimeError: it ended.
        """
        pid, end_s = self._process.pid, time.monotonic() + _START_S
        while time.monotonic() < end_s and self._process.poll() is None:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            if children:
                return int(children[0])
            time.sleep(0.01)
        raise RuntimeError("the container has no process")

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self._process.poll() is None

    def execute(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command in the running container, as the same user (`docker exec`)."""
        plan = replace(self._plan, argv=list(argv), loopback=False, mounts=None)
        spaces = ["--mount", "--pid", "--net", "--ipc", "--uts"]
        command = _script(plan, ["nsenter", "--target", str(self.init), *spaces], self._folder.name)
        return subprocess.run(
            command, env=self._environment, input=stdin, capture_output=True, timeout=timeout_s
        )

    def stop(self, timeout_s: float) -> int:
        """Send SIGTERM and return the exit code.

        Raises:
            TimeoutExpired: it did not end.
        """
        os.kill(self.init, signal.SIGTERM)
        return self._process.wait(timeout_s)

    def wait(self, timeout_s: float) -> int:
        """Wait until the process ended, and return its exit code.

        Raises:
            TimeoutExpired: it did not end.
        """
        return self._process.wait(timeout_s)

    def memory_mib(self) -> float:
        """The memory that process 1 holds now: resident, in MiB."""
        status = Path(f"/proc/{self.init}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        return round(int(line.split()[1]) / 1024, 1)

"""A Ray cluster of several nodes on this machine, whose processes are ours to kill."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from helpers.web.servers import free_port


class RayCluster:
    """Nodes that are started by Ray's own command, each with so many cores to give away."""

    def __init__(self, cores: tuple[int, ...]) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ray"))  # short: sockets lie in it
        self.environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process compiles Ray
        self._nodes: list[subprocess.Popen[bytes]] = []
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        for number, count in enumerate(cores):
            where = ["--head", "--port", str(port), "--include-dashboard", "false"]
            if number:
                where = ["--address", self.address]
            self._start([*where, "--num-cpus", str(count)], number)

    def _start(self, arguments: list[str], number: int) -> None:
        log = self._folder / f"{number}.log"
        command = [str(Path(sys.executable).with_name("ray")), "start", "--block", *arguments]
        command += ["--disable-usage-stats", "--node-ip-address", "127.0.0.1"]
        if not number:
            command += ["--temp-dir", str(self._folder)]
        with log.open("wb") as file:
            node = subprocess.Popen(
                command, stdout=file, stderr=file, env=self.environment, start_new_session=True
            )
        self._nodes.append(node)
        until(lambda: b"Ray runtime started" in log.read_bytes(), 120, log.read_text)

    def kill_node(self, number: int) -> None:
        """End a node as when its machine loses power."""
        inner = self._processes(number)
        self._nodes[number].kill()
        for process in inner:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._nodes[number].wait(30)

    def _processes(self, number: int) -> list[int]:
        """What a node has started in sessions of their own."""
        children: dict[int, list[int]] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
        found, left = [], [self._nodes[number].pid]
        while left:
            own = children.get(left.pop(), [])
            found += own
            left += own
        return found

    def replicas(self) -> list[int]:
        """The processes of all replicas."""
        found = []
        for number, node in enumerate(self._nodes):
            for process in self._processes(number) if node.poll() is None else []:
                with suppress(OSError):
                    if b"ServeReplica:depthrt" in Path(f"/proc/{process}/cmdline").read_bytes():
                        found.append(process)
        return found

    def close(self) -> None:
        """End all nodes."""
        for number, node in enumerate(self._nodes):
            if node.poll() is None:
                self.kill_node(number)
        shutil.rmtree(self._folder, ignore_errors=True)


def until(condition: Callable[[], bool], seconds: float, why: Callable[[], str]) -> None:
    """Wait for something that comes."""
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s, why()
        time.sleep(0.1)

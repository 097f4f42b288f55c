"""Workers as processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from depthrt.errors import DepthrtError
from depthrt_archives.engines.base import Died, Report
from depthrt_archives.tasks import BatchOptions, Failed, Outcome, Task

_LOOK_S = 0.5  # how often a worker looks whether its driver is there
_END_S = 5.0


@dataclass(frozen=True)
class _Process:
    process: BaseProcess
    connection: Connection


class LocalEngine:
    """Starts a process for each worker; one that loses its driver ends by itself.

    Args:
        options: for the workers.
    """

    def __init__(self, options: BatchOptions) -> None:
        self._options = options
        # Not forked: a child would share onnxruntime's threads, which it does not have.
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[int, _Process] = {}

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [each.process.pid for each in self._workers.values() if each.process.pid]

    def start(self, worker: int) -> None:
        """Start a process."""
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_main, args=(theirs, self._options, os.getpid()), daemon=True
        )
        process.start()
        theirs.close()
        self._workers[worker] = _Process(process, ours)

    def submit(self, worker: int, task: Task) -> None:
        """Send a task; that the process is gone is reported by :meth:`wait`."""
        with suppress(OSError):
            self._workers[worker].connection.send(task)

    def wait(self, timeout_s: float) -> list[Report]:
        """What the processes sent, and which of them ended."""
        numbers = {each.connection: number for number, each in self._workers.items()}
        reports = []
        for connection in wait([*numbers], timeout_s):
            if not isinstance(connection, Connection):
                continue
            number = numbers[connection]
            try:
                reports.append(Report(number, connection.recv()))
            except (EOFError, OSError):
                reports.append(Report(number, Died(self._bury(number))))
        return reports

    def close(self) -> None:
        """End the processes."""
        for each in self._workers.values():
            each.process.kill()
        for each in self._workers.values():
            each.process.join(_END_S)
            each.connection.close()
        self._workers.clear()

    def _bury(self, number: int) -> str:
        gone = self._workers.pop(number)
        gone.process.join(_END_S)
        if gone.process.is_alive():
            gone.process.kill()
            gone.process.join(_END_S)
        gone.connection.close()
        code = gone.process.exitcode or 0
        if code < 0:
            with suppress(ValueError):
                return f"the process was ended by {signal.Signals(-code).name}"
        return f"the process ended with exit code {code}"


def _main(connection: Connection, options: BatchOptions, driver: int) -> None:
    """The main function of a worker's process."""
    for number in (signal.SIGINT, signal.SIGTERM):  # of the terminal: the driver ends its workers
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(driver,), daemon=True).start()
    from depthrt.system.process_settings import own_process

    with suppress(EOFError, OSError), own_process():
        first: Outcome
        try:
            from depthrt_archives.work.cores import claim_cores
            from depthrt_archives.work.worker import Worker

            claim = claim_cores(options.cores)  # noqa: F841  (held while this process is)
            worker = Worker(options)
            first = worker.ready()
        except DepthrtError as error:
            connection.send(Failed(str(error), fatal=True, exit_code=error.exit_code))
            return
        connection.send(first)
        while True:
            connection.send(worker.do(connection.recv()))


def _end_with(driver: int) -> None:
    """End this process as soon as its driver is gone, in the middle of whatever it does."""
    while os.getppid() == driver:
        time.sleep(_LOOK_S)
    os._exit(1)

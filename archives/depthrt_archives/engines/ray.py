"""Workers as actors of a Ray cluster. Ray is imported when this engine is opened."""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack, suppress
from socket import socket
from typing import Any

from depthrt.errors import DepthrtError, UsageError
from depthrt.system.installation import install_command
from depthrt.system.process_settings import own_process
from depthrt_archives.engines.base import Died, Report
from depthrt_archives.tasks import BatchOptions, Failed, Outcome, Task

_ON_GPU = ("cuda", "tensorrt")


class RemoteWorker:
    """What an actor runs. Errors are outcomes, as Ray would wrap them."""

    def __init__(self, options: BatchOptions) -> None:
        self._options = options
        self._worker: Any = None
        self._cores: socket | None = None
        self._process = ExitStack()

    def ready(self) -> Outcome:
        """Load the model."""
        self._process.enter_context(own_process())
        try:
            from depthrt_archives.work.cores import claim_cores
            from depthrt_archives.work.worker import Worker

            self._cores = claim_cores(self._options.cores)
            self._worker = Worker(self._options)
            outcome: Outcome = self._worker.ready()
        except DepthrtError as error:
            return Failed(str(error), fatal=True, exit_code=error.exit_code)
        return outcome

    def do(self, task: Task) -> Outcome:
        """Do a task."""
        outcome: Outcome = self._worker.do(task)
        return outcome


def open_ray(
    options: BatchOptions, address: str | None, workers: int | None
) -> tuple[RayEngine, int]:
    """Connect to a cluster, or start one on this machine.

    Args:
        options: for the workers.
        address: of the cluster, or ``auto``; None starts one.
        workers: how many; None: as many as the cluster has cores for.

    Returns:
        The engine, and how many workers it is to have.

    Raises:
        UsageError: Ray is not installed, or there is no such cluster.
    """
    try:
        import ray
    except ImportError as error:
        raise UsageError(f"--engine ray needs Ray: {install_command('ray')}") from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    own = {} if address is not None else {"include_dashboard": False}
    try:
        ray.init(
            address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **own
        )
    except Exception as error:  # Ray raises plain ones, too
        where = f"the Ray cluster at {address}" if address else "Ray on this machine"
        hint = "; a cluster with a token needs RAY_AUTH_MODE=token" if address else ""
        raise UsageError(f"{where} cannot be used ({_first_line(error)}){hint}") from error
    cores = int(ray.cluster_resources().get("CPU", 1))
    return RayEngine(options, ray), workers or max(1, cores // options.cores)


class RayEngine:
    """Starts an actor for each worker, with the cores or the GPU that it needs.

    Args:
        options: for the workers.
        ray: the module, connected.
    """

    def __init__(self, options: BatchOptions, ray: Any) -> None:
        self._options, self._ray = options, ray
        self._actors: dict[int, Any] = {}
        self._futures: dict[Any, int] = {}
        self._class = ray.remote(RemoteWorker)

    def start(self, worker: int) -> None:
        """Ask for an actor; it starts when the cluster has room for it."""
        gpus = 1 if self._options.provider in _ON_GPU else 0
        actor = self._class.options(
            num_cpus=self._options.cores,
            num_gpus=gpus,
            max_restarts=0,
            scheduling_strategy="SPREAD",
        ).remote(self._options)
        self._actors[worker] = actor
        self._futures[actor.ready.remote()] = worker

    def submit(self, worker: int, task: Task) -> None:
        """Send a task to an actor."""
        self._futures[self._actors[worker].do.remote(task)] = worker

    def wait(self, timeout_s: float) -> list[Report]:
        """What the actors answered, and which of them are gone."""
        ray = self._ray
        ready, _ = ray.wait([*self._futures], num_returns=1, timeout=timeout_s)
        if not ready:
            return []
        ready, _ = ray.wait([*self._futures], num_returns=len(self._futures), timeout=0)
        reports = []
        for future in ready:
            worker = self._futures.pop(future)
            try:
                reports.append(Report(worker, ray.get(future)))
            except ray.exceptions.RayError as error:
                with suppress(Exception):
                    ray.kill(self._actors.pop(worker))
                reports.append(Report(worker, Died(_reason(error))))
        return reports

    def close(self) -> None:
        """End the actors, and a cluster that was started for them."""
        for actor in self._actors.values():
            with suppress(Exception):
                self._ray.kill(actor)
        self._ray.shutdown()


def _reason(error: Exception) -> str:
    return f"the actor died ({_first_line(error)})"


def _first_line(error: Exception) -> str:
    """One line of what Ray says, which is a page."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__

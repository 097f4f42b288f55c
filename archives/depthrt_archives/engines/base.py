"""What the driver needs of an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from depthrt_archives.tasks import Outcome, Task


@dataclass(frozen=True)
class Died:
    """A worker is gone, with whatever it did; ``reason``: what is known of it."""

    reason: str


@dataclass(frozen=True)
class Report:
    """What became of a worker's task, or of its start."""

    worker: int
    outcome: Outcome | Died


class Engine(Protocol):
    """Starts workers, hands them one task at a time, and notices when one dies."""

    def start(self, worker: int) -> None:
        """Start a worker under a number; its first report is that it is ready."""

    def submit(self, worker: int, task: Task) -> None:
        """Hand a task to a worker that has none."""

    def wait(self, timeout_s: float) -> list[Report]:
        """What was reported since; waits for the first report, at most so long."""

    def close(self) -> None:
        """End all workers at once, whatever they do."""

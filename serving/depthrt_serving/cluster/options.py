"""What `depthrt serve --engine ray` was told."""

from __future__ import annotations

from dataclasses import dataclass, field

from depthrt.errors import UsageError


@dataclass(frozen=True)
class Gates:
    """When a new model goes on to the next share, and when it is taken back.

    - ``batches``: of the new model that are looked at in each step;
    - ``difference``: greatest mean |difference| of its depth to the old one's, over the spread of
      that one's;
    - ``slower``: greatest p99 of its batches, in those of the old model;
    - ``failures``: share of its batches that may fail beyond those of the old model.
    """

    batches: int = 100
    difference: float = 0.10
    slower: float = 1.5
    failures: float = 0.01

    def __post_init__(self) -> None:
        for name, least in (("batches", 1), ("difference", 0.0), ("slower", 1.0)):
            value = getattr(self, name)
            if not value >= least:
                raise UsageError(f"--roll-{name} {value:g} must be {least:g} or more")


@dataclass(frozen=True)
class ClusterOptions:
    """A cluster, and the replicas on it.

    - ``address``: of a running cluster, as ``ray.init`` takes it; None: one is made of this
      machine, for as long as the server runs;
    - ``replicas``: least and most; Ray Serve chooses between them by the batches that wait;
    - ``cpus``, ``gpus``: of a replica; None: as many as its threads, and none.
    """

    address: str | None = None
    replicas: tuple[int, int] = (1, 1)
    cpus: float = 1.0
    gpus: float = 0.0
    gates: Gates = field(default_factory=Gates)


def parse_range(text: str, option: str) -> tuple[int, int]:
    """``1-4`` as least and most; one number is both.

    Raises:
        UsageError: it is neither.
    """
    parts = text.split("-")
    if len(parts) > 2 or not all(part.isdecimal() and len(part) < 6 for part in parts):
        raise UsageError(f"{option} {text!r} is no number and no range, such as 1-4")
    least, most = int(parts[0]), int(parts[-1])
    if not 1 <= least <= most:
        raise UsageError(f"{option} {text}: the least first, and at least 1")
    return least, most

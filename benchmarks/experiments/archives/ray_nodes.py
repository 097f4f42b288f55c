"""A Ray cluster of several nodes on loopback, whose nodes can be killed."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any


class Nodes:
    """A head without cores for workers, and nodes of one core each.

    Args:
        count: of the nodes.
    """

    def __init__(self, count: int) -> None:
        from ray.cluster_utils import Cluster

        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        self._cluster: Any = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        self._nodes = [self._cluster.add_node(num_cpus=1) for _ in range(count)]

    @property
    def address(self) -> str:
        """Where a driver connects to."""
        return str(self._cluster.address)

    def kill_one(self, chance: random.Random) -> None:
        """Kill the raylet of a node, with all its workers, and add another node."""
        node = self._nodes.pop(chance.randrange(len(self._nodes)))
        node.kill_raylet()
        self._cluster.remove_node(node, allow_graceful=False)
        self._nodes.append(self._cluster.add_node(num_cpus=1))

    def close(self) -> None:
        """End the cluster."""
        self._cluster.shutdown()


def kill_actor(chance: random.Random) -> bool:
    """Kill a process that runs an actor of a batch; whether there was one."""
    found = [
        int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if _is_actor(path)
    ]
    if found:
        os.kill(chance.choice(found), signal.SIGKILL)
    return bool(found)


def _is_actor(path: Path) -> bool:
    try:
        return path.read_bytes().startswith(b"ray::RemoteWorker")
    except OSError:
        return False

"""The rollout as an actor of Ray: its name, how it is found and made, and files from it."""

from __future__ import annotations

import hashlib
from typing import Any

from depthrt.errors import ModelError

NAMESPACE = "depthrt"
NAME = "depthrt-rollout"


def find_rollout() -> Any | None:
    """The rollout's actor; None where nothing is served on the cluster."""
    import ray

    try:
        return ray.get_actor(NAME, namespace=NAMESPACE)
    except ValueError:
        return None


def make_rollout(stable: str) -> Any:
    """The rollout's actor; it is made where it is not there, and outlives whoever made it."""
    import ray

    from depthrt_serving.cluster.rollout import Rollout

    options: dict[str, Any] = {
        "name": NAME,
        "namespace": NAMESPACE,
        "lifetime": "detached",
        "get_if_exists": True,
        "num_cpus": 0,
    }
    return ray.remote(Rollout).options(**options).remote(stable)


def fetch_file(sha256: str) -> bytes:
    """A model file from the cluster.

    Raises:
        ModelError: it is not there, or not whole.
    """
    import ray

    rollout = find_rollout()
    content = None if rollout is None else ray.get(rollout.file.remote(sha256), timeout=120)
    if content is None or hashlib.sha256(content).hexdigest() != sha256:
        raise ModelError(f"the cluster has no whole model file {sha256[:8]}")
    return bytes(content)

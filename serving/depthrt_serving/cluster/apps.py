"""Applications of Ray Serve: one for each model, by the hash of its file."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection
from typing import Any

from depthrt.errors import ModelError, UsageError
from depthrt_serving.cluster.fetch import NAMESPACE
from depthrt_serving.cluster.options import ClusterOptions
from depthrt_serving.cluster.replica import Replica

_PREFIX = "depthrt-"
_ONGOING = 2  # batches a replica has at a time: one runs, one is on its way


def connect(options: ClusterOptions) -> None:
    """Join the cluster, or make one of this machine.

    Raises:
        UsageError: there is no cluster at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
    import ray
    from ray import serve

    made = options.address is None
    more: dict[str, Any] = {"include_dashboard": False} if made else {}
    try:
        ray.init(
            address="local" if made else options.address,
            namespace=NAMESPACE,
            logging_level=logging.ERROR,
            log_to_driver=False,
            **more,
        )
    except Exception as error:  # Ray has no class of its own for them
        why = str(error).strip().partition("\n")[0].rstrip(".")
        where = "Ray on this machine" if made else f"the Ray cluster at {options.address}"
        hint = "" if made else ": a cluster with a token needs RAY_AUTH_MODE=token, as Ray has it"
        raise UsageError(f"{where} cannot be used ({why}){hint}") from error
    for name in ("ray", "ray.serve"):
        logging.getLogger(name).setLevel(logging.ERROR)
    serve.start(proxy_location="Disabled")


def app_name(sha256: str) -> str:
    """The application that runs the model with this hash."""
    return f"{_PREFIX}{sha256[:16]}"


def deploy(sha256: str, provider: str, threads: int | None, options: ClusterOptions) -> None:
    """Start the replicas of a model; returns when the least of them are ready.

    Raises:
        ModelError: they do not come to be.
    """
    from ray import serve

    least, most = options.replicas
    deployment: Any = serve.deployment(
        Replica,
        name="replica",
        max_ongoing_requests=_ONGOING,
        ray_actor_options={"num_cpus": options.cpus, "num_gpus": options.gpus},
        health_check_period_s=2,
        health_check_timeout_s=10,
        graceful_shutdown_timeout_s=10,
        **_scaled(least, most),
    )
    try:
        serve.run(
            deployment.bind(sha256, provider, threads),
            name=app_name(sha256),
            route_prefix=None,
        )
    except Exception as error:
        said = _why(sha256) or str(error).strip().partition("\n")[0]
        serve.delete(app_name(sha256))
        raise ModelError(f"the cluster does not serve model {sha256[:8]}: {said}") from error


def check_room(options: ClusterOptions, tell: Callable[[str], None]) -> None:
    """Look whether there is room for the least replicas; a cluster that is joined may yet grow.

    Raises:
        UsageError: this machine has not the cores or GPUs.
    """
    import ray

    free = ray.available_resources()
    for kind, amount, name in (("CPU", options.cpus, "cores"), ("GPU", options.gpus, "GPUs")):
        wanted, found = amount * options.replicas[0], free.get(kind, 0.0)
        if wanted > found:
            said = f"{options.replicas[0]} replicas take {wanted:g} {name}, and {found:g} are free"
            if options.address is None:
                raise UsageError(f"{said}: ask for fewer by --replicas")
            tell(f"{said}: waiting for more")


def _scaled(least: int, most: int) -> dict[str, Any]:
    if least == most:
        return {"num_replicas": least}
    return {
        "autoscaling_config": {
            "min_replicas": least,
            "max_replicas": most,
            "initial_replicas": least,
            "target_ongoing_requests": 1.5,
            "upscale_delay_s": 3.0,
            "downscale_delay_s": 60.0,
        }
    }


def _why(sha256: str) -> str:
    """What Ray Serve says of an application that failed: the last line, which names the error."""
    from ray import serve

    found = serve.status().applications.get(app_name(sha256))
    if found is None:
        return ""
    said = [each.message for each in found.deployments.values()] + [found.message]
    ours = [
        line.strip()
        for text in said
        for line in text.splitlines()
        if line.startswith(("depthrt.errors.", "ray.exceptions.")) and ": " in line
    ]
    return ours[-1].partition(": ")[2] if ours else ""


def handle_of(sha256: str) -> Any:
    """What calls the replicas of a model."""
    from ray import serve

    return serve.get_app_handle(app_name(sha256))


def is_deployed(sha256: str) -> bool:
    """Whether the cluster runs the model."""
    from ray import serve

    found = serve.status().applications.get(app_name(sha256))
    return found is not None and found.status == "RUNNING"


def delete_others(kept: Collection[str]) -> None:
    """End the replicas of all models but these; those of others than depthrt are left alone."""
    from ray import serve

    names = {app_name(sha256) for sha256 in kept}
    for name in serve.status().applications:
        if name.startswith(_PREFIX) and name not in names:
            serve.delete(name)

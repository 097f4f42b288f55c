"""The front: the server as it is, whose batches go to the cluster."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from depthrt.errors import UsageError
from depthrt.model.catalogue.registry import find_model
from depthrt_serving.cluster.apps import check_room, connect, delete_others, deploy, is_deployed
from depthrt_serving.cluster.cluster_model import ClusterModel
from depthrt_serving.cluster.fetch import make_rollout
from depthrt_serving.cluster.kept_file import kept_file
from depthrt_serving.cluster.options import ClusterOptions
from depthrt_serving.cluster.router import Router
from depthrt_serving.server.serve import serve
from depthrt_serving.service.deployments import hash_of
from depthrt_serving.service.served_model import ServedModel, load
from depthrt_serving.settings import Settings

Tell = Callable[[str], None]


def serve_on_cluster(settings: Settings, options: ClusterOptions, tell: Tell) -> None:
    """Serve a model by replicas until a signal comes and all is answered.

    A copy of the file is served, so that one that takes its place is not taken for it: a cluster
    goes over to another model by :mod:`depthrt_serving.cluster.roll` alone. Several fronts may
    serve one cluster. The last one that ends takes the replicas with it.

    Raises:
        DepthrtError: a setting, the model, the cluster or the address cannot be used.
    """
    import ray

    path = find_model(settings.model)
    settings = replace(settings, model=str(kept_file(hash_of(path), path.read_bytes)))
    fronts: list[Router] = []

    def load_there(settings: Settings) -> ServedModel:
        connect(options)
        served, router = load_on_cluster(settings, options, tell)
        fronts.append(router)
        return served

    try:
        serve(settings, tell, load_there)
    finally:
        others = [router.close() for router in fronts]
        if options.address is not None and others == [0]:
            _end_service()
        ray.shutdown()


def load_on_cluster(
    settings: Settings, options: ClusterOptions, tell: Tell
) -> tuple[ServedModel, Router]:
    """The model as replicas of the cluster, and the way to them.

    Raises:
        DepthrtError: the model cannot be used, or the cluster serves another one.
    """
    import ray

    served = load(settings)
    local = served.model
    sha256, content = local.sha256(), local.path.read_bytes()
    rollout = make_rollout(sha256)
    routing = ray.get(rollout.routing.remote())
    if routing.stable != sha256:
        raise UsageError(
            f"the cluster serves model {routing.stable[:8]} already, and {local.path} is "
            f"{sha256[:8]}: `--roll 10%` rolls it over to that"
        )
    ray.get(rollout.put_file.remote(sha256, content))
    if not is_deployed(sha256):
        check_room(options, tell)
        tell(f"starting {options.replicas[0]} of {options.replicas[1]} replicas")
        deploy(sha256, settings.provider, settings.threads or int(options.cpus) or 1, options)
    delete_others([sha256, *([routing.canary] if routing.canary else [])])
    router = Router(sha256, content, metric=local.spec.unit is not None)
    model = ClusterModel(local, router, options.replicas[1])
    model.warm_up(served.batch)
    start_s = time.perf_counter()
    model.warm_up(served.batch)
    return replace(served, model=model, batch_s=time.perf_counter() - start_s), router


def _end_service() -> None:
    """End the replicas and the rollout of a cluster that goes on."""
    import ray

    from depthrt_serving.cluster.fetch import find_rollout

    delete_others([])
    rollout = find_rollout()
    if rollout is not None:
        ray.kill(rollout)

"""What all routes share: the models, their queues, counters and limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from depthrt.monitor.exposition import server_table as table
from depthrt.monitor.exposition.families import drift_families
from depthrt.monitor.exposition.metric_table import MODEL
from depthrt.monitor.exposition.text_format import Family
from depthrt.monitor.kept import KeptReferences
from depthrt.monitor.watches import WatchedModel, Watches, reference_of
from depthrt.system.cpu_cores import usable_cores
from depthrt_serving.batching.batcher import Batcher
from depthrt_serving.batching.options import BatchOptions
from depthrt_serving.batching.work import Computed
from depthrt_serving.clips.clip_store import ClipStore
from depthrt_serving.monitoring.drift import DriftWatch
from depthrt_serving.monitoring.shadow import Shadow
from depthrt_serving.monitoring.shadow_model import ShadowModel
from depthrt_serving.monitoring.stream_names import StreamNames
from depthrt_serving.service.deployment import Deployment
from depthrt_serving.service.deployments import Deployments, Role, Tell, hash_of, load_canary
from depthrt_serving.service.metrics import Metrics
from depthrt_serving.service.served_model import ServedModel
from depthrt_serving.service.tokens import Tokens
from depthrt_serving.settings import Limits, Settings

if TYPE_CHECKING:
    from depthrt.depth import Depth
    from depthrt.model.depth_model import DepthModel
    from depthrt.spec import ModelSpec


@dataclass(eq=False)
class Service:
    """The state of one server; a route takes it from ``request.state.service``.

    - ``deployments``: the models, each with its queue; ``clips``: runs the jobs of videos;
    - ``drift``, ``shadow``: watch what is answered; None: nothing does;
    - ``streams``: the names of streams that are counted and watched by themselves;
    - ``threads``: for work of answers that would hold up the event loop (encoding, say);
    - ``draining``: it takes no new connections, and ends when what it has is answered;
    - ``held_bytes``: of bodies that are in memory.
    """

    deployments: Deployments
    settings: Settings
    tokens: Tokens
    metrics: Metrics
    clips: ClipStore
    threads: ThreadPoolExecutor
    drift: DriftWatch | None = None
    shadow: Shadow | None = None
    streams: StreamNames = field(default_factory=StreamNames)
    draining: bool = False
    held_bytes: int = 0

    @property
    def served(self) -> ServedModel:
        """The stable model, and how it is served."""
        return self.deployments.stable.served

    @property
    def batcher(self) -> Batcher:
        """The queue of the stable model."""
        return self.deployments.stable.batcher

    @property
    def model(self) -> DepthModel:
        """The stable model."""
        return self.deployments.stable.model

    @property
    def spec(self) -> ModelSpec:
        """The spec of the stable model."""
        return self.deployments.stable.spec

    @property
    def limits(self) -> Limits:
        """What is taken of clients."""
        return self.settings.limits

    def lease(self, role: Role | None = None) -> AbstractContextManager[Deployment]:
        """The model that answers a request, kept alive until it is answered."""
        return self.deployments.lease(role)

    def close(self) -> None:
        """End the threads, and the jobs of clips."""
        self.clips.close()
        self.deployments.close()
        for watcher in (self.drift, self.shadow):
            if watcher is not None:
                watcher.close()
        self.threads.shutdown(wait=False, cancel_futures=True)


def make_service(
    served: ServedModel, settings: Settings, tokens: Tokens, tell: Tell = lambda sentence: None
) -> Service:
    """The service of a loaded model.

    Args:
        served: the model.
        settings: all that was asked for.
        tokens: that requests need.
        tell: called with a sentence for the user.

    Raises:
        DepthrtError: the references, the shadow model or the canary cannot be used.
    """
    metrics, cores, asked = Metrics(), usable_cores(), settings.monitoring
    # A model that takes the place of another is judged by what was usual before, file or not.
    kept = KeptReferences(None) if asked.reference is None else KeptReferences.open(asked.reference)
    watches = Watches(kept, tell)
    drift = DriftWatch(watches) if asked.drift else None

    def idle() -> bool:
        return not any(each.batcher.waiting for each in deployments.all)

    shadow = None
    if asked.shadow_model is not None and asked.shadow_share > 0:
        other = ShadowModel.like(served.model.spec, asked.shadow_model)
        shadow = Shadow(other, asked.shadow_share, watches, idle)

    def saw(
        deployment: Deployment, stream: str, computed: Computed, depths: Sequence[Depth]
    ) -> None:
        if drift is not None:
            drift.saw(deployment.watched, stream, computed.prepared, depths)
        if shadow is not None:
            maps = [each.depth for each in computed.predictions]
            shadow.saw(
                deployment.watched, deployment.counters, computed.prepared, maps, deployment.before
            )

    make = partial(make_deployment, settings=settings, metrics=metrics, saw=saw)
    stable = make(served, hash_of(served.model.path))
    deployments = Deployments(settings, make, metrics, tell, stable, ended=partial(_ended, watches))
    deployments.keeps_before = shadow is not None
    _add_canary(deployments, tell)
    model = served.model
    clips = ClipStore(model.path, model.provider, model.spec.input, settings.limits)
    _expose(metrics, deployments, clips, watches, asked.shadow_share if shadow else 0.0)
    threads = ThreadPoolExecutor(max(2, cores), "answer")
    return Service(deployments, settings, tokens, metrics, clips, threads, drift, shadow)


def make_deployment(
    served: ServedModel,
    sha256: str,
    *,
    settings: Settings,
    metrics: Metrics,
    saw: Callable[[Deployment, str, Computed, Sequence[Depth]], None],
) -> Deployment:
    """A queue for a model, and what counts and watches it.

    Raises:
        ModelError: the reference in its file is broken.
    """
    label = f"{served.model.spec.name}@{sha256[:8]}"
    watched = WatchedModel(sha256, label, reference_of(served.model))
    queueing, counters = settings.queueing, metrics.of_model(label)
    options = BatchOptions(
        batch=served.batch,
        parallel=served.model.parallel,
        preparers=_preparers(served),
        queue_images=queueing.images,
        wait_s=queueing.wait_s,
    )
    predict = partial(served.model.predict, gaps=True)  # what is not finite is no failure here
    batcher = Batcher(predict, options, served.estimate, counters)
    return Deployment(served, watched, batcher, counters, saw)


def _preparers(served: ServedModel) -> int:
    """Threads that decode ahead.

    None on a CPU without batches: inferences fill all cores, and threads that take turns on them
    with others cost a tenth more processor time an image.
    """
    if served.batch == 1 and served.model.provider == "cpu":
        return 0
    return max(2, usable_cores())


def _ended(watches: Watches, deployment: Deployment) -> None:
    watches.forget(deployment.watched)


def _add_canary(deployments: Deployments, tell: Tell) -> None:
    """Load the canary, if its file is there; that it is not is told."""
    if deployments.settings.rollout.canary is None:
        return
    found = load_canary(deployments.settings, deployments.stable, None)
    if found is None:
        return
    if isinstance(found, str):
        deployments.why_no_canary = found
        tell(f"{found}: put a new model there and send SIGHUP")
        return
    deployments.canary = made = deployments.after(deployments.stable, *found)
    share = deployments.settings.rollout.canary_share
    tell(f"the canary {made.label} gets {share:.3g} of the requests")


def _expose(
    metrics: Metrics,
    deployments: Deployments,
    clips: ClipStore,
    watches: Watches,
    shadow_share: float,
) -> None:
    """What is asked for whenever the metrics are read."""

    def models() -> list[Family]:
        served = [(each, role, share) for each, role, share in deployments.shares]
        infos = [
            {
                "model": each.label,
                "sha256": each.watched.sha256,
                "precision": each.spec.precision,
                "provider": each.model.provider,
                "version": version("depthrt"),
            }
            for each, _, _ in served
        ]
        shares = [({"model": each.label, "role": role}, share) for each, role, share in served]
        if shadow_share:
            name = deployments.stable.spec.name
            shares.append(({"model": name, "role": "shadow"}, shadow_share))
        return [
            Family(MODEL, [(labels, 1.0) for labels in infos]),
            Family(table.SHARE, shares),
        ]

    def oldest_s() -> float:
        return max(each.batcher.oldest_s for each in deployments.all)

    metrics.families(models)
    metrics.families(lambda: drift_families(watches.verdicts()))
    metrics.gauge(table.QUEUE, lambda: sum(each.batcher.waiting for each in deployments.all))
    metrics.gauge(table.OLDEST, oldest_s)
    metrics.gauge(table.RATE, lambda: deployments.stable.batcher.estimate.rate)
    metrics.gauge(table.CLIPS, lambda: len(clips))

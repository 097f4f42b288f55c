"""What all routes share: the model, its queue, counters and limits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from depthrt.model.cpu_cores import usable_cores
from depthrt_serving.batching.batcher import Batcher
from depthrt_serving.batching.options import BatchOptions
from depthrt_serving.clips.clip_store import ClipStore
from depthrt_serving.service.metrics import Metrics
from depthrt_serving.service.served_model import ServedModel
from depthrt_serving.service.tokens import Tokens
from depthrt_serving.settings import Limits, Settings

if TYPE_CHECKING:
    from depthrt.model.depth_model import DepthModel
    from depthrt.spec import ModelSpec


@dataclass(eq=False)
class Service:
    """The state of one server; a route takes it from ``request.state.service``.

    - ``batcher``: computes depth; ``clips``: runs the jobs of videos;
    - ``threads``: for work of answers that would hold up the event loop (encoding, say);
    - ``draining``: it takes no new connections, and ends when what it has is answered;
    - ``held_bytes``: of bodies that are in memory.
    """

    served: ServedModel
    settings: Settings
    tokens: Tokens
    metrics: Metrics
    batcher: Batcher
    clips: ClipStore
    threads: ThreadPoolExecutor
    draining: bool = False
    held_bytes: int = 0

    @property
    def model(self) -> DepthModel:
        """The model that is served."""
        return self.served.model

    @property
    def spec(self) -> ModelSpec:
        """The spec of the model."""
        return self.served.model.spec

    @property
    def limits(self) -> Limits:
        """What is taken of clients."""
        return self.settings.limits

    def close(self) -> None:
        """End the threads, and the jobs of clips."""
        self.clips.close()
        self.batcher.close()
        self.threads.shutdown(wait=False, cancel_futures=True)


def make_service(served: ServedModel, settings: Settings, tokens: Tokens) -> Service:
    """The service of a loaded model."""
    metrics, cores = Metrics(), usable_cores()
    queueing = settings.queueing
    options = BatchOptions(
        batch=served.batch,
        parallel=served.model.parallel,
        preparers=max(2, cores),
        queue_images=queueing.images,
        wait_s=queueing.wait_s,
    )
    predict = partial(served.model.predict, gaps=True)  # what is not finite is no failure here
    batcher = Batcher(predict, options, served.estimate, metrics)
    metrics.gauge("depthrt_queue_images", "Images that wait.", lambda: batcher.waiting)
    metrics.gauge(
        "depthrt_queue_oldest_seconds", "Age of the oldest that waits.", lambda: batcher.oldest_s
    )
    metrics.gauge(
        "depthrt_images_per_second", "What the server can do.", lambda: batcher.estimate.rate
    )
    threads = ThreadPoolExecutor(max(2, cores), "answer")
    clips = ClipStore(served.model.path, served.model.provider, settings.limits)
    metrics.gauge("depthrt_clips", "Clips that are kept.", lambda: len(clips))
    return Service(served, settings, tokens, metrics, batcher, clips, threads)

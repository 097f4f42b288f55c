"""What the server counts, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from depthrt_serving.batching.refusal import Reason

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_IMAGES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)


class Metrics:
    """The counters of one server, each in a registry of its own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "depthrt_requests", "Requests answered.", ["route", "status"], registry=registry
        )
        self.latency_s = Histogram(
            "depthrt_request_seconds",
            "From the head of a request to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.images = Counter("depthrt_images", "Images computed.", registry=registry)
        self.batch_images = Histogram(
            "depthrt_batch_images", "Images in a batch.", buckets=_IMAGES, registry=registry
        )
        self.batch_s = Histogram(
            "depthrt_batch_seconds", "Time of a batch.", buckets=_SECONDS, registry=registry
        )
        self.queue_s = Histogram(
            "depthrt_queue_wait_seconds",
            "From a request's arrival in the queue until its last batch began.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.rejected = Counter(
            "depthrt_rejected", "Images not computed, by reason.", ["reason"], registry=registry
        )
        self.abandoned_images = Counter(
            "depthrt_abandoned_images",
            "Images taken out of the queue because their client went away.",
            registry=registry,
        )
        self.wasted_images = Counter(
            "depthrt_wasted_images",
            "Images whose client went away while they were being computed.",
            registry=registry,
        )
        self.dropped_frames = Counter(
            "depthrt_dropped_frames",
            "Frames of streams that a newer one replaced before they were computed.",
            registry=registry,
        )

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A value that is asked for whenever the metrics are read."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self.registry)

    def batch_done(self, images: int, seconds: float, wasted: int) -> None:
        """Count a batch; for ``wasted`` of its images nobody waits any more."""
        self.images.inc(images)
        self.batch_images.observe(images)
        self.batch_s.observe(seconds)
        self.wasted_images.inc(wasted)

    def refused(self, reason: Reason, images: int) -> None:
        """Count images that were refused."""
        self.rejected.labels(reason).inc(images)

    def abandoned(self, images: int) -> None:
        """Count images whose client went away before they were computed."""
        self.abandoned_images.inc(images)

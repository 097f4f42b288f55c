"""What the server counts, as Prometheus reads it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric as Exposed
from prometheus_client.registry import Collector

from depthrt.monitor.exposition import server_table as table
from depthrt.monitor.exposition.metric_table import DROPPED, FRAMES, LATENCY, STARTED
from depthrt.monitor.exposition.text_format import Family, Metric
from depthrt_serving.batching.refusal import Reason

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_IMAGES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)
_ERROR = (0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.2, 0.4)
_RATIO = (0.5, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0, 4.0)
_AGREEMENT = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)


class Metrics:
    """The counters of one server, each in a registry of its own."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # series of no use to Prometheus
        self.registry = CollectorRegistry()
        self.requests = self._counter(table.REQUESTS)
        self.errors = self._counter(table.ERRORS)
        self.latency_s = self._histogram(table.REQUEST, _SECONDS)
        self.stage_s = self._histogram(table.STAGE, _SECONDS)
        self.images = self._counter(table.IMAGES)
        self.failed_images = self._counter(table.FAILED)
        self.batch_images = self._histogram(table.BATCH, _IMAGES)
        self.rejected = self._counter(table.REJECTED)
        self.abandoned_images = self._counter(table.ABANDONED)
        self.wasted_images = self._counter(table.WASTED)
        self.aborted_images = self._counter(table.ABORTED)
        self.frames = self._counter(FRAMES)
        self.dropped_frames = self._counter(DROPPED)
        self.frame_latency_s = self._histogram(LATENCY, _SECONDS)
        self.reloads = self._counter(table.RELOADS)
        self.reload_successful = Gauge(
            table.RELOADED.name, table.RELOADED.text, registry=self.registry
        )
        self.reload_successful.set(1)
        self.shadow_error = self._histogram(table.SHADOW_ERROR, _ERROR)
        self.shadow_ratio = self._histogram(table.SHADOW_RATIO, _RATIO)
        self.shadow_agreement = self._histogram(table.SHADOW_AGREEMENT, _AGREEMENT)
        self.shadow_skipped = self._counter(table.SHADOW_SKIPPED)
        started_s = time.time()
        self.gauge(STARTED, lambda: started_s)

    def gauge(self, metric: Metric, value: Callable[[], float]) -> None:
        """A value that is asked for whenever the metrics are read."""
        Gauge(metric.name, metric.text, registry=self.registry).set_function(value)

    def families(self, read: Callable[[], Iterable[Family]]) -> None:
        """Families that are asked for whenever the metrics are read."""
        self.registry.register(_Families(read))

    def text(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self.registry)

    def of_model(self, label: str) -> ModelMetrics:
        """What is counted of one model."""
        return ModelMetrics(self, label)

    def _counter(self, metric: Metric) -> Counter:
        name = metric.name.removesuffix("_total")
        return Counter(name, metric.text, metric.labels, registry=self.registry)

    def _histogram(self, metric: Metric, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(
            metric.name, metric.text, metric.labels, buckets=buckets, registry=self.registry
        )


@dataclass(frozen=True)
class ModelMetrics:
    """The counters of one model; the batcher tells it what it does."""

    metrics: Metrics
    label: str

    def batch_done(self, images: int, seconds: float, wasted: int) -> None:
        """Count a batch; for ``wasted`` of its images nobody waits any more."""
        self.metrics.images.labels(self.label).inc(images)
        self.metrics.batch_images.labels(self.label).observe(images)
        self.metrics.wasted_images.inc(wasted)

    def batch_aborted(self, images: int) -> None:
        """Count images whose inference was ended because nobody waited for them any more."""
        self.metrics.aborted_images.inc(images)

    def refused(self, reason: Reason, images: int) -> None:
        """Count images that were refused."""
        self.metrics.rejected.labels(reason).inc(images)

    def abandoned(self, images: int) -> None:
        """Count images whose client went away before they were computed."""
        self.metrics.abandoned_images.inc(images)

    def failed(self, images: int) -> None:
        """Count images on which the network failed."""
        self.metrics.failed_images.labels(self.label).inc(images)

    def spent(self, stage: str, seconds: float) -> None:
        """Count the time of a request in a stage."""
        self.metrics.stage_s.labels(self.label, stage).observe(seconds)

    def compared_before(self, times: float) -> None:
        """Count an image on which its error was so many times that of the model before it."""
        self.metrics.shadow_ratio.labels(self.label).observe(times)

    def skipped(self, reason: str) -> None:
        """Count an image that was to go through the shadow model, and did not."""
        self.metrics.shadow_skipped.labels(reason).inc()

    def compared(self, error: float, agreement: float) -> None:
        """Count an image that went through the shadow model, too."""
        self.metrics.shadow_error.labels(self.label).observe(error)
        self.metrics.shadow_agreement.labels(self.label).observe(agreement)


class _Families(Collector):
    """Families of the runtime, as the client's registry reads them."""

    def __init__(self, read: Callable[[], Iterable[Family]]) -> None:
        self._read = read

    def describe(self) -> Iterable[Exposed]:
        """Nothing, before there is a model."""
        return ()

    def collect(self) -> Iterator[Exposed]:
        """Each family with its values."""
        for family in self._read():
            metric = family.metric
            if not family.values:
                continue
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            # Labels may be more than the table's: of a reference its origin.
            names = list(metric.labels)
            made = kind(metric.name, metric.text, labels=names)
            for labels, value in family.values:
                if isinstance(value, (int, float)):
                    made.add_metric([labels[name] for name in names], value)
            yield made

"""The metrics of `depthrt serve` that `depthrt run --metrics` has not."""

from __future__ import annotations

from depthrt.monitor.exposition.metric_table import (
    DRIFT,
    DROPPED,
    FEATURE,
    FRAMES,
    LATENCY,
    LEARNING,
    MODEL,
    PSI,
    REFERENCE,
    REFERENCE_FRAMES,
    SAMPLES,
    SCORE,
    STARTED,
    WASSERSTEIN,
)
from depthrt.monitor.exposition.text_format import Metric

SHARE = Metric(
    "depthrt_model_share",
    "gauge",
    "Share of the requests that a model gets, 0 to 1; role: stable, canary, or shadow (its answers "
    "are compared, not sent).",
    ("model", "role"),
)
REQUESTS = Metric("depthrt_requests_total", "counter", "Requests answered.", ("route", "status"))
ERRORS = Metric(
    "depthrt_errors_total",
    "counter",
    "Requests that were refused or failed, by the code of the answer; gone: the client went away.",
    ("cause",),
)
REQUEST = Metric(
    "depthrt_request_seconds",
    "histogram",
    "From the head of a request to the end of its answer.",
    ("route",),
)
STAGE = Metric(
    "depthrt_stage_seconds",
    "histogram",
    "Time of one request in a stage: decode, prepare, wait (for its batch), infer, answer.",
    ("model", "stage"),
)
IMAGES = Metric("depthrt_images_total", "counter", "Images computed.", ("model",))
FAILED = Metric(
    "depthrt_images_failed_total", "counter", "Images on which the network failed.", ("model",)
)
BATCH = Metric("depthrt_batch_images", "histogram", "Images in a batch.", ("model",))
REJECTED = Metric(
    "depthrt_rejected_total", "counter", "Images not computed, by reason.", ("reason",)
)
ABANDONED = Metric(
    "depthrt_abandoned_images_total",
    "counter",
    "Images taken out of the queue because their client went away.",
)
WASTED = Metric(
    "depthrt_wasted_images_total",
    "counter",
    "Images whose client went away while they were being computed.",
)
ABORTED = Metric(
    "depthrt_aborted_images_total",
    "counter",
    "Images whose inference was ended because nobody waited for them any more.",
)
QUEUE = Metric("depthrt_queue_images", "gauge", "Images that wait.")
OLDEST = Metric("depthrt_queue_oldest_seconds", "gauge", "Age of the oldest that waits.")
RATE = Metric("depthrt_images_per_second", "gauge", "What the server can do.")
CLIPS = Metric("depthrt_clips", "gauge", "Clips that are kept.")
RELOADED = Metric(
    "depthrt_reload_successful", "gauge", "0 if the last SIGHUP found a file that it refused."
)
RELOADS = Metric(
    "depthrt_reloads_total",
    "counter",
    "Files looked at on SIGHUP; result: loaded, unchanged, promoted, removed, refused.",
    ("role", "result"),
)
SHADOW_ERROR = Metric(
    "depthrt_shadow_error",
    "histogram",
    "Mean absolute difference of an image's depth to that of the shadow model, over its spread.",
    ("model",),
)
SHADOW_RATIO = Metric(
    "depthrt_shadow_error_ratio",
    "histogram",
    "An image's shadow error over that of the model before it (or beside it, of a canary), for the "
    "first 1000 images of a new file.",
    ("model",),
)
SHADOW_AGREEMENT = Metric(
    "depthrt_shadow_agreement",
    "histogram",
    "Share of an image's pixels within 5% of the spread of the shadow model's depth.",
    ("model",),
)
SHADOW_SKIPPED = Metric(
    "depthrt_shadow_skipped_total",
    "counter",
    "Images not compared: busy (the queue never let them), failed (the shadow model).",
    ("reason",),
)

SHARED = (
    MODEL, STARTED, FRAMES, DROPPED, LATENCY, LEARNING, REFERENCE_FRAMES, SAMPLES, FEATURE,
    REFERENCE, PSI, WASSERSTEIN, SCORE, DRIFT,
)  # fmt: skip
"""Those that it has as `depthrt run --metrics` has them."""

METRICS = (
    SHARE, REQUESTS, ERRORS, REQUEST, STAGE, IMAGES, FAILED, BATCH, REJECTED, ABANDONED, WASTED,
    ABORTED, QUEUE, OLDEST, RATE, CLIPS, RELOADED, RELOADS, SHADOW_ERROR, SHADOW_RATIO,
    SHADOW_AGREEMENT, SHADOW_SKIPPED,
)  # fmt: skip
"""Its own, in the order of the documentation."""

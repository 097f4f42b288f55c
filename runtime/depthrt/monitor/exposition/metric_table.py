"""The metrics of `depthrt run --metrics`; those of drift and of the model are the server's, too."""

from __future__ import annotations

from depthrt.monitor.exposition.text_format import Metric

MODEL = Metric(
    "depthrt_model_info",
    "gauge",
    "1; the labels say which model runs, and where.",
    ("model", "sha256", "precision", "provider", "version"),
)
STARTED = Metric(
    "depthrt_start_time_seconds", "gauge", "When the run began, in seconds since 1970."
)
UP = Metric(
    "depthrt_stream_up", "gauge", "1 while a stream runs, 0 once it has ended.", ("stream",)
)
FAILED = Metric("depthrt_stream_failed", "gauge", "1 if a stream ended with an error.", ("stream",))
FRAMES = Metric("depthrt_frames_total", "counter", "Frames with depth.", ("stream",))
WRITTEN = Metric(
    "depthrt_frames_written_total", "counter", "Frames that every output has.", ("stream",)
)
DROPPED = Metric(
    "depthrt_frames_dropped_total",
    "counter",
    "Frames of a live source for which there was no time.",
    ("stream",),
)
LATE = Metric(
    "depthrt_frames_late_total",
    "counter",
    "Those of the dropped frames that were older than --max-latency.",
    ("stream",),
)
REUSED = Metric(
    "depthrt_frames_reused_total",
    "counter",
    "Frames that had not changed and were not computed.",
    ("stream",),
)
INTERPOLATED = Metric(
    "depthrt_frames_interpolated_total",
    "counter",
    "Frames between keyframes, which the network did not see.",
    ("stream",),
)
CUTS = Metric("depthrt_scene_cuts_total", "counter", "Scene cuts.", ("stream",))
STAGE = Metric(
    "depthrt_stage_seconds",
    "histogram",
    "Time of one frame in a stage: decode, wait, prepare, infer, carry, stabilise, watch, write.",
    ("stream", "stage"),
)
LATENCY = Metric(
    "depthrt_latency_seconds",
    "histogram",
    "From the capture of a live frame to its result.",
    ("stream",),
)
LEARNING = Metric(
    "depthrt_drift_learning",
    "gauge",
    "1 while there is nothing to judge drift against yet.",
    ("stream", "model"),
)
REFERENCE_FRAMES = Metric(
    "depthrt_drift_reference_frames",
    "gauge",
    "Frames of the reference; origin: file (the model's), kept (--reference), stream (learned).",
    ("stream", "model", "origin"),
)
SAMPLES = Metric(
    "depthrt_drift_samples_total", "counter", "Frames that were looked at.", ("stream", "model")
)
FEATURE = Metric(
    "depthrt_feature",
    "gauge",
    "Mean of a feature over the last window.",
    ("stream", "model", "feature"),
)
REFERENCE = Metric(
    "depthrt_reference_feature",
    "gauge",
    "The feature's 5th, 50th and 95th percentile in the reference.",
    ("stream", "model", "feature", "quantile"),
)
PSI = Metric(
    "depthrt_drift_psi",
    "gauge",
    "Population stability index of the window to the reference.",
    ("stream", "model", "feature"),
)
WASSERSTEIN = Metric(
    "depthrt_drift_wasserstein",
    "gauge",
    "Wasserstein distance of the window to the reference, over the reference's width.",
    ("stream", "model", "feature"),
)
SCORE = Metric(
    "depthrt_drift_score",
    "gauge",
    "The larger of both over its threshold: 1 or more is drift.",
    ("stream", "model", "feature"),
)
DRIFT = Metric(
    "depthrt_drift",
    "gauge",
    "1 while a feature drifts: raised by two verdicts in a row, cleared by three.",
    ("stream", "model", "feature"),
)

METRICS = (
    MODEL, STARTED, UP, FAILED, FRAMES, WRITTEN, DROPPED, LATE, REUSED, INTERPOLATED, CUTS, STAGE,
    LATENCY, LEARNING, REFERENCE_FRAMES, SAMPLES, FEATURE, REFERENCE, PSI, WASSERSTEIN, SCORE,
    DRIFT,
)  # fmt: skip
"""All of them, in the order of the page."""

"""The families of metrics: of a model, of streams, and of what watches them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from depthrt.model.depth_model import DepthModel
from depthrt.monitor.exposition import metric_table as table
from depthrt.monitor.exposition.text_format import Family, Labels
from depthrt.monitor.reference import Reference
from depthrt.monitor.watch import Verdict
from depthrt.result import Stats

_QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class StreamState:
    """One stream: what was counted, and whether it has ended, and with an error."""

    stats: Stats
    ended: bool = False
    failed: bool = False


def model_families(models: Mapping[str, DepthModel], names: Mapping[str, str]) -> list[Family]:
    """Which models run, and their names for labels; both by SHA-256 of their files."""
    values = []
    for sha256, model in models.items():
        labels = {
            "model": names[sha256],
            "sha256": sha256,
            "precision": model.spec.precision,
            "provider": model.provider,
            "version": version("depthrt"),
        }
        values.append((labels, 1.0))
    return [Family(table.MODEL, values)]


def stream_families(streams: Mapping[str, StreamState]) -> list[Family]:
    """What was counted of each stream."""
    labelled: list[tuple[Labels, StreamState]] = [
        ({"stream": name}, state) for name, state in streams.items()
    ]
    counted = {
        table.FRAMES: "frames",
        table.WRITTEN: "written",
        table.DROPPED: "dropped",
        table.LATE: "late",
        table.REUSED: "reused",
        table.INTERPOLATED: "interpolated",
        table.CUTS: "scene_cuts",
    }
    stages = [
        ({**labels, "stage": stage}, times)
        for labels, state in labelled
        for stage, times in (state.stats.stage_s or {}).copy().items()
    ]
    latencies = [(ls, s.stats.latency) for ls, s in labelled if s.stats.latency.count]
    return [
        Family(table.UP, [(labels, float(not state.ended)) for labels, state in labelled]),
        Family(table.FAILED, [(labels, float(state.failed)) for labels, state in labelled]),
        *(
            Family(metric, [(ls, float(getattr(s.stats, name))) for ls, s in labelled])
            for metric, name in counted.items()
        ),
        Family(table.STAGE, stages),
        Family(table.LATENCY, latencies),
    ]


def drift_families(verdicts: Sequence[tuple[Labels, Verdict]]) -> list[Family]:
    """What is known of drift; the labels say of which stream and model."""
    scores = [
        ({**labels, "feature": feature}, score)
        for labels, verdict in verdicts
        for feature, score in verdict.scores.items()
    ]
    alarms = [
        ({**labels, "feature": feature}, float(alarm.raised))
        for labels, verdict in verdicts
        for feature, alarm in verdict.alarms.items()
    ]
    known = [(labels, v.reference, v.origin) for labels, v in verdicts if v.reference is not None]
    return [
        Family(table.LEARNING, [(ls, float(v.learning)) for ls, v in verdicts]),
        Family(
            table.REFERENCE_FRAMES,
            [({**ls, "origin": origin}, float(r.frames)) for ls, r, origin in known],
        ),
        Family(table.SAMPLES, [(ls, float(v.samples)) for ls, v in verdicts]),
        Family(table.FEATURE, [(ls, score.mean) for ls, score in scores]),
        Family(table.REFERENCE, [pair for ls, r, _ in known for pair in _quantiles(ls, r)]),
        Family(table.PSI, [(ls, score.psi) for ls, score in scores]),
        Family(table.WASSERSTEIN, [(ls, score.wasserstein) for ls, score in scores]),
        Family(table.SCORE, [(ls, score.score) for ls, score in scores]),
        Family(table.DRIFT, alarms),
    ]


def _quantiles(labels: Labels, reference: Reference) -> list[tuple[Labels, float]]:
    found: list[tuple[Labels, float]] = []
    for name, bins in reference.bins.items():
        values = bins.middles[reference.codes[name][reference.codes[name] >= 0]]
        for quantile, value in zip(_QUANTILES, np.quantile(values, _QUANTILES), strict=True):
            found.append(({**labels, "feature": name, "quantile": f"{quantile:g}"}, float(value)))
    return found

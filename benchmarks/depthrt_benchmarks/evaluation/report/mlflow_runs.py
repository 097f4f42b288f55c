"""The runs that MLflow logs for an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from depthrt_benchmarks.common.report.mlflow_log import Run


def runs(document: dict[str, Any], models: Sequence[Path], files: tuple[Path, ...]) -> list[Run]:
    """One run for each model, so that MLflow can compare two.

    Args:
        document: the JSON document of `depthrt eval`.
        models: the files of the document's models, in their order.
        files: the reports that were written.
    """
    facts = {key: document[key] for key in ("machine", "versions", "commit")}
    made = []
    for model, path in zip(document["models"], models, strict=True):
        label = model["model"]
        own = [found for found in document["evaluations"] if found["model"] == label]
        protocols = {found["dataset"]: found["protocol"] for found in own}
        metrics = _of_sets(own) | _of_clips(document["clips"], label)
        parameters = {**model, **facts, "protocol": protocols}
        made.append(Run("eval", label, parameters, metrics, {"eval.json": document}, files, path))
    return made


def _of_sets(evaluations: Sequence[dict[str, Any]]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for found in evaluations:
        name, video = found["dataset"], found.get("video", {})
        metrics |= {f"{name}/{key}": mean["value"] for key, mean in found["metrics"].items()}
        if "flicker" in video:
            metrics[f"{name}/flicker_median"] = video["flicker"]["median"]
        for sequence, percent in video.get("tae_percent", {}).items():
            metrics[f"{name}/{sequence}/tae_percent"] = percent
    return metrics


def _of_clips(clips: Sequence[dict[str, Any]], label: str) -> dict[str, float]:
    return {
        f"{found['clip']}/flicker_median": found["flicker"]["median"]
        for found in clips
        if found["model"] == label and found["flicker"] is not None
    }

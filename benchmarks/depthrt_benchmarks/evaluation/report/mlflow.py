"""Evaluations as runs of MLflow, one for each model, so that two models are two runs to compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from depthrt_benchmarks.evaluation.job import Outcome
from depthrt_calibration import tracking


def track(target: str, outcome: Outcome, document: dict[str, Any], files: tuple[Path, ...]) -> None:
    """Log every model's figures, the JSON document and the report.

    Raises:
        WriteError: MLflow cannot be reached or refuses.
    """
    facts = {key: document[key] for key in ("machine", "versions", "commit")}
    for model, path in zip(document["models"], outcome.paths, strict=True):
        label = model["model"]
        metrics: dict[str, float] = {}
        protocols: dict[str, str] = {}
        for found in document["evaluations"]:
            if found["model"] == label:
                where = found["dataset"]
                protocols[where] = found["protocol"]
                metrics |= {f"{where}/{k}": v["value"] for k, v in found["metrics"].items()}
                metrics |= _video(where, found.get("video", {}))
        for found in document["clips"]:
            if found["model"] == label and found["flicker"] is not None:
                metrics[f"{found['clip']}/flicker_median"] = found["flicker"]["median"]
        parameters = {**model, **facts, "protocol": protocols}
        documents = {"eval.json": document}
        tracking.log(
            target, tracking.Run("eval", label, parameters, metrics, documents, files, path)
        )


def _video(where: str, video: dict[str, Any]) -> dict[str, float]:
    found = {}
    if "flicker" in video:
        found[f"{where}/flicker_median"] = video["flicker"]["median"]
    for sequence, percent in video.get("tae_percent", {}).items():
        found[f"{where}/{sequence}/tae_percent"] = percent
    return found

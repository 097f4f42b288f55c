"""Exports and searches as runs of MLflow."""

from __future__ import annotations

from pathlib import Path

from depthrt_calibration import tracking
from depthrt_export.report.export_report import Report


def track(target: str, report: Report, files: tuple[Path, ...]) -> None:
    """Log an export with its model; of a search also every candidate, as runs to compare.

    Raises:
        WriteError: MLflow cannot be reached or refuses; the exported file is in its place.
    """
    spec, document = report.spec, report.to_dict()
    parameters = {
        "precision": spec.precision,
        "kind": spec.kind,
        "size": [spec.input.height, spec.input.width],
        "reference": report.reference,
        "file": report.target.name,
        **spec.provenance,
    }
    metrics = {
        **report.proof.figures,
        **{f"times_s/{name}": time_s for name, time_s in report.times_s.items()},
        "file_bytes": report.file_bytes,
        "peak_memory_bytes": report.peak_memory_bytes,
    }
    documents = {"export.json": document}
    run = tracking.Run("export", spec.name, parameters, metrics, documents, files, report.target)
    tracking.log(target, run)
    if report.found is None:
        return
    for candidate in report.found.candidates:
        measured = {
            "ratio": candidate.ratio,
            "loss": candidate.loss,
            "error": candidate.error,
            "worst_error": candidate.worst,
        }
        numbers = {k: float(v) for k, v in measured.items() if v is not None}
        picked = candidate is report.found.picked
        name = f"{spec.name}: {candidate.name}"
        words = {**candidate.to_dict(), "picked": picked}
        tracking.log(target, tracking.Run("search", name, words, numbers))

"""The runs that MLflow logs for an export and its search."""

from __future__ import annotations

from pathlib import Path

from depthrt_benchmarks.common.report.mlflow_log import Run
from depthrt_export.report.export_report import Report


def runs(report: Report, files: tuple[Path, ...]) -> list[Run]:
    """One run for the export, with its model, and one for each candidate of a search.

    Args:
        report: what was exported.
        files: the pages and plots that were written of it.
    """
    return [_export(report, files), *_candidates(report)]


def _export(report: Report, files: tuple[Path, ...]) -> Run:
    spec = report.spec
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
    documents = {"export.json": report.to_dict()}
    return Run("export", spec.name, parameters, metrics, documents, files, report.target)


def _candidates(report: Report) -> list[Run]:
    if report.found is None:
        return []
    made = []
    for candidate in report.found.candidates:
        figures = {
            "ratio": candidate.ratio,
            "loss": candidate.loss,
            "error": candidate.error,
            "worst_error": candidate.worst,
        }
        metrics = {name: float(value) for name, value in figures.items() if value is not None}
        parameters = {**candidate.to_dict(), "picked": candidate is report.found.picked}
        made.append(Run("search", f"{report.spec.name}: {candidate.name}", parameters, metrics))
    return made

"""A bench document as one HTML page."""

from __future__ import annotations

from typing import Any

from depthrt_benchmarks.bench.report.plots import plots
from depthrt_benchmarks.bench.report.report import machine_line, sections
from depthrt_benchmarks.common.report.page import render_page


def render(document: dict[str, Any]) -> str:
    """The page as text."""
    values = {
        "models": ", ".join(model["model"] for model in document["models"]),
        "machine": machine_line(document),
        "plots": plots(document),
        "tables": sections(document),
        "provenance": "\n".join(_facts(document)),
    }
    return render_page("depthrt_benchmarks.bench.report", values)


def _facts(document: dict[str, Any]) -> list[str]:
    models = [
        f"{model['model']}: {model['file']}, {model['file_mb']} MB, {model['precision']}, "
        f"sha256 {model['sha256']}"
        for model in document["models"]
    ]
    errors = [
        f"AbsRel of {row['model']}: {row['abs_rel']:.4f}, mean of {', '.join(row['datasets'])}; "
        f"{row['protocol']}"
        for row in document.get("accuracy", [])
    ]
    versions = ", ".join(f"{name} {number}" for name, number in document["versions"].items())
    return [*models, *errors, versions]

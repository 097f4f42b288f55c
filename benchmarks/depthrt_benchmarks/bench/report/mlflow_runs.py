"""The runs that MLflow logs for a benchmark and for a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from depthrt_benchmarks.bench.measure.frames import size_text
from depthrt_benchmarks.common.report.mlflow_log import Run

_COMPARED = ("ratio", "low", "high", "seconds", "pairs")
_COMPARED_HOW = ("machine", "versions", "commit", "verdict", "margin", "fail_above", "confidence",
                 "threads", "batch", "what", "base", "head")  # fmt: skip


def bench_runs(
    document: dict[str, Any], models: Sequence[Path], files: tuple[Path, ...]
) -> list[Run]:
    """One run for each model, so that MLflow can compare two.

    Args:
        document: the JSON document of `depthrt bench`.
        models: the files of the document's models, in their order.
        files: the reports that were written.
    """
    facts = {key: document[key] for key in ("machine", "versions", "commit", "duration_s")}
    return [
        Run(
            "bench",
            model["model"],
            {**model, **facts},
            _figures(document, model["model"]),
            {"bench.json": document},
            files,
            path,
        )
        for path, model in zip(models, document["models"], strict=True)
    ]


def comparison_run(document: dict[str, Any], files: tuple[Path, ...]) -> Run:
    """The run of a comparison, from the JSON document of `depthrt bench compare`."""
    return Run(
        "compare",
        f"{document['head']['label']} against {document['base']['label']}",
        {key: document[key] for key in _COMPARED_HOW},
        {key: document[key] for key in _COMPARED},
        {"compare.json": document},
        files,
    )


def _figures(document: dict[str, Any], label: str) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for cell in document["cells"]:
        if cell["model"] == label:
            where = f"{cell['bound_provider']}/threads {cell['threads']}/batch {cell['batch']}"
            where += f"/{size_text(cell['size'])}"
            metrics |= {f"{where}/{key}_ms": value for key, value in cell["latency_ms"].items()}
            metrics[f"{where}/throughput_fps"] = cell["throughput_fps"]
    for part in ("starts", "clips"):
        for row in document[part]:
            if row["model"] == label:
                where = f"{part}/{row['provider']}/threads {row['threads']}"
                numbers = {k: v for k, v in row.items() if k.endswith(("_ms", "_mb", "_fps"))}
                metrics |= {f"{where}/{key}": value for key, value in numbers.items()}
    return metrics

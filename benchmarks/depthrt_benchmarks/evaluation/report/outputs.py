"""The files of an evaluation, each written beside its place and renamed when whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from depthrt.files.atomic_write import new_file, write_text
from depthrt.files.json_file import write_json
from depthrt_benchmarks.common.environment import environment
from depthrt_benchmarks.evaluation.document import document, write_table
from depthrt_benchmarks.evaluation.job import Outcome


def whole_document(outcome: Outcome) -> dict[str, Any]:
    """The JSON document with machine, versions and commit."""
    return {**environment(), **_document(outcome)}


def write_outputs(
    outcome: Outcome,
    output: Path | None,
    table: Path | None,
    report: Path | None,
    *,
    overwrite: bool = False,
) -> None:
    """Write those that were asked for: JSON, CSV, HTML.

    Raises:
        TargetError: something came to a place meanwhile that may not be replaced; what was to be
            written stays beside it.
        WriteError: one cannot be written; those before it are in their place.
    """
    if output is not None:
        write_json(output, whole_document(outcome), overwrite=overwrite)
    if table is not None:
        with new_file(table, overwrite=overwrite) as place:
            write_table(place, outcome.evaluations)
    if report is not None:
        from depthrt_benchmarks.evaluation.report.html import render

        # Names of files may be no UTF-8.
        write_text(report, render(outcome), overwrite=overwrite, errors="replace")


def _document(outcome: Outcome) -> dict[str, Any]:
    found = document(outcome.models, outcome.evaluations, outcome.clips, outcome.comparisons)
    if outcome.verdict is not None:
        found["gate"] = outcome.verdict.as_dict()
    if outcome.worse is not None:
        found["fail_worse"] = outcome.worse.as_dict()
    return found

"""The files of an evaluation, each written beside its place and renamed when whole."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from depthrt.errors import WriteError
from depthrt.sinks.base import partial_name, put_in_place
from depthrt_benchmarks.environment import environment, write_result
from depthrt_benchmarks.evaluation.document import document, write_table
from depthrt_benchmarks.evaluation.job import Outcome


def whole_document(outcome: Outcome) -> dict[str, Any]:
    """The JSON document with machine, versions and commit."""
    return {**environment(), **_document(outcome)}


def write_outputs(
    outcome: Outcome, output: Path | None, table: Path | None, report: Path | None
) -> None:
    """Write those that were asked for: JSON, CSV, HTML.

    Raises:
        WriteError: one cannot be written; those before it are in their place.
    """
    if output is not None:
        _place(output, lambda partial: write_result(partial, _document(outcome)))
    if table is not None:
        _place(table, lambda partial: write_table(partial, outcome.evaluations))
    if report is not None:
        from depthrt_benchmarks.evaluation.page import render

        _place(report, lambda partial: _write(partial, render(outcome)))


def _document(outcome: Outcome) -> dict[str, Any]:
    return document(outcome.models, outcome.evaluations, outcome.clips, outcome.comparisons)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="replace")  # names of files may be no UTF-8


def _discard(partial: Path) -> None:
    with suppress(OSError):
        partial.unlink(missing_ok=True)


def _place(target: Path, write: Callable[[Path], None]) -> None:
    partial = partial_name(target)
    try:
        write(partial)
    except OSError as error:
        _discard(partial)
        raise WriteError(f"{target} cannot be written ({error.strerror or error})") from error
    except BaseException:
        _discard(partial)
        raise
    put_in_place(partial, target)

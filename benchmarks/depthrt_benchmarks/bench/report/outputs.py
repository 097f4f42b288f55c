"""What the commands print and write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from depthrt.errors import TargetError, UsageError
from depthrt.files.atomic_write import write_text
from depthrt.files.json_file import JsonObject, read_object
from depthrt_benchmarks.bench.compare.comparison import Comparison
from depthrt_benchmarks.bench.compare.history import FILES, check_history
from depthrt_benchmarks.bench.report.report import (
    machine_line,
    markdown,
    markdown_table,
    rich_table,
    sections,
)
from depthrt_benchmarks.common.environment import environment
from depthrt_benchmarks.common.output_files import check_targets
from depthrt_benchmarks.common.report.page import require_libraries


def check(
    markdown_file: Path | None,
    html: Path | None,
    *,
    overwrite: bool,
    sources: Sequence[Path] = (),
    history: Path | None = None,
) -> None:
    """Refuse reports that cannot be written, before anything is measured.

    Args:
        sources: files that must survive.
        history: the folder of the history, whose files are its own.

    Raises:
        TargetError: a file that exists or cannot be written, or is also another output.
        UsageError: the libraries of an HTML page are missing, or a history is none of ours.
    """
    check_targets({"--markdown": markdown_file, "--html": html}, overwrite=overwrite,
                  sources=sources)  # fmt: skip
    if history is not None:
        check_history(history)
    if markdown_file is not None and history is not None:
        own = [(history / name).resolve() for name in FILES]
        if markdown_file.resolve() in own:
            raise TargetError(f"--markdown {markdown_file} is a file of --history: give another")
    if html is not None:
        require_libraries("--html", "bench")


def read_accuracy(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """AbsRel of models, a mean over the sets of each, from JSON documents of `depthrt eval`.

    Raises:
        UsageError: a file that is no such document.
    """
    found = []
    for path in paths:
        content = read_object(path, UsageError)
        try:
            found += _accuracies(content)
        except UsageError as error:
            raise UsageError(f"{path} is no result of `depthrt eval --json` ({error})") from error
    return found


def _accuracies(content: JsonObject) -> list[dict[str, Any]]:
    found = []
    evaluations = content.objects("evaluations")
    for model in content.objects("models"):
        name = model.text("model")
        rows = [row for row in evaluations if row.text("model") == name]
        if rows:
            values = [row.object("metrics").object("abs_rel").number("value") for row in rows]
            sets = [row.text("dataset") for row in rows]
            found.append({"model": name, "sha256": model.text("sha256"), "abs_rel": fmean(values),
                          "datasets": sets, "protocol": rows[0].text("protocol")})  # fmt: skip
    return found


def write(
    document: dict[str, Any],
    markdown_file: Path | None,
    html: Path | None,
    *,
    overwrite: bool = False,
) -> None:
    """Write the reports that were asked for.

    Raises:
        TargetError: a file came to a place meanwhile that may not be replaced.
        WriteError: one cannot be written; those before it are in their place.
    """
    if markdown_file is not None:
        write_text(markdown_file, markdown(document), overwrite=overwrite)
    if html is not None:
        from depthrt_benchmarks.bench.report.html import render

        write_text(html, render(document), overwrite=overwrite)


def print_tables(document: dict[str, Any]) -> None:
    """All tables on standard output."""
    from rich.console import Console

    console = Console(emoji=False)
    if not console.is_terminal:
        console.width = 160  # a file or a log has no edge to break lines at
    console.print(machine_line(document), highlight=False, markup=False)
    for title, head, rows in sections(document):
        console.print()
        console.print(rich_table(title, head, rows))


def comparison_document(result: Comparison) -> dict[str, Any]:
    """The JSON document of a comparison, with its environment."""
    return {**environment(), "benchmark": "compare", **result.to_dict()}


def comparison_lines(result: Comparison) -> list[str]:
    """The verdict, the gate and how it was measured."""
    pairs = result.pairs
    how = "in turn" if result.interleaved else "each beside the yardstick of its own day"
    lines = [
        result.sentence(),
        f"{pairs.count} pairs in {len(pairs.blocks)} blocks, {how}, {pairs.seconds:.0f} s",
        *result.notes,
    ]
    return [*lines, result.gate()] if result.gate() and not result.regressed else lines


def comparison_markdown(document: dict[str, Any]) -> str:
    """A comparison as Markdown: for a job's summary or a comment."""
    head = ("", "p50 ms", "p90", "p99", "worst", "provider", "precision")
    rows = []
    for name in ("base", "head"):
        side = document[name]
        times = [f"{side['latency_ms'][k]:.2f}" for k in ("p50", "p90", "p99", "worst")]
        label = f"{name}: {side['label']}"
        rows.append([label, *times, side["bound_provider"], side["precision"]])
    word = {"slower": "Slower", "faster": "Faster", "cannot tell": "No difference can be told"}
    gate = ""
    if document["gate"] is not None:
        state = "passed" if document["gate"]["passed"] else "failed"
        why = document["gate"]["sentence"].partition(": ")[2]
        gate = f" Gate at {document['fail_above']:g}: **{state}** ({why})."
    notes = "".join(f"{note}.\n\n" for note in document["notes"])
    return (
        f"**{word[document['verdict']]}**: {document['sentence']}.{gate}\n\n"
        f"{markdown_table(head, rows)}\n\n{notes}"
        f"{document['pairs']} pairs, {document['comparison']}, {document['seconds']:.0f} s; "
        f"{document['threads']} threads, batch {document['batch']}. {machine_line(document)}\n"
    )

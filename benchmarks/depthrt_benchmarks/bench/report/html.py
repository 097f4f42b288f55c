"""A bench document as one HTML page that needs no other file and no network."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import Any

from depthrt_benchmarks.bench.report.plots import plots
from depthrt_benchmarks.bench.report.report import machine_line, sections


def render(document: dict[str, Any]) -> str:
    """The page as text."""
    page = (files("depthrt_benchmarks") / "bench" / "report" / "page.html").read_text(
        encoding="utf-8"
    )
    parts = {
        "models": escape(", ".join(model["model"] for model in document["models"])),
        "machine": escape(machine_line(document)),
        "plots": "".join(f"<figure>{plot}</figure>" for plot in plots(document)),
        "tables": "".join(_table(*section) for section in sections(document)),
        "facts": escape(_facts(document)),
    }
    for key, value in parts.items():
        page = page.replace(f"{{{{{key}}}}}", value)
    return page


def _table(title: str, head: Any, rows: list[list[str]]) -> str:
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return (
        f"<h2>{escape(title)}</h2><section><table><thead><tr>{names}</tr></thead>"
        f"<tbody>{body}</tbody></table></section>"
    )


def _facts(document: dict[str, Any]) -> str:
    lines = [
        f"{model['model']}: {model['file']}, {model['file_mb']} MB, {model['precision']}, "
        f"sha256 {model['sha256']}"
        for model in document["models"]
    ]
    for row in document.get("accuracy", []):
        lines.append(
            f"AbsRel of {row['model']}: {row['abs_rel']:.4f}, mean of "
            f"{', '.join(row['datasets'])}; {row['protocol']}"
        )
    lines.append(", ".join(f"{name} {number}" for name, number in document["versions"].items()))
    return "\n".join(lines)

"""A bench document as rows: for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from depthrt_benchmarks.bench.measure.frames import size_text
from depthrt_benchmarks.common.environment import UNKNOWN_COMMIT

if TYPE_CHECKING:
    from rich.table import Table

    from depthrt_benchmarks.bench.measure.settings_in_turn import Cell

Row = list[str]
_CELL_HEAD = ("model", "provider", "threads", "size", "batch", "p50 ms", "p90", "p95", "p99",
              "worst", "frames/s", "first ms")  # fmt: skip
_START_HEAD = ("model", "provider", "threads", "load ms", "first run ms", "usual run ms",
               "Python to depth ms", "peak MB", "model MB")  # fmt: skip
_CLIP_HEAD = ("model", "provider", "threads", "clip", "frames/s", "ms a frame", "CPU ms",
              "decode", "prepare", "infer", "write")  # fmt: skip
_OPERATORS_SHOWN = 8
_FOLDED = ("provider", "threads", "size", "clip")
_WORDS = ("model", "provider", "clip", "")


def live_table(cells: Sequence[Cell]) -> Table:
    """The cells as measured so far, for a terminal."""
    rows = [_cell_row(cell.to_dict()) if cell.taken_ms else _pending(cell) for cell in cells]
    return rich_table("latency and throughput", _CELL_HEAD, rows)


def sections(document: dict[str, Any]) -> list[tuple[str, Sequence[str], list[Row]]]:
    """Title, column names and rows of every table of the document."""
    found: list[tuple[str, Sequence[str], list[Row]]] = [
        (
            "Latency of the network and throughput",
            _CELL_HEAD,
            [_cell_row(cell) for cell in document["cells"]],
        ),
        (
            "Starting, in a fresh process",
            _START_HEAD,
            [_start_row(row) for row in document["starts"]],
        ),
        (
            "A clip, file to file, with ms per frame of each stage (stages run side by side)",
            _CLIP_HEAD,
            [_clip_row(row) for row in document["clips"] if "frames" in row],
        ),
    ]
    for item in document["profiles"]:
        where = f"{item['model']} on {item['provider']}, {threads_text(item['threads'])}, "
        where += f"batch {item['batch']}"
        rows = _profile_rows(item)
        title = f"Profile of {where}: {item['total_ms']:.2f} ms in {item['nodes']} nodes"
        found.append((title, ("", "nodes", "ms", "share"), rows))
    return [(title, head, rows) for title, head, rows in found if rows]


def markdown(document: dict[str, Any]) -> str:
    """The document as Markdown."""
    parts = [machine_line(document)]
    for title, head, rows in sections(document):
        parts += ["", f"**{title}**", "", markdown_table(head, rows)]
    return "\n".join(parts) + "\n"


def markdown_table(head: Sequence[str], rows: Sequence[Row]) -> str:
    """A Markdown table; bars in cells are escaped."""

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])


def machine_line(document: dict[str, Any]) -> str:
    """Machine and versions in one line, and the commit where depthrt runs from a checkout."""
    machine, versions = document["machine"], document["versions"]
    shown = [f"{n} {versions[n]}" for n in versions if n.startswith(("onnxruntime", "depthrt"))]
    known = document["commit"] != UNKNOWN_COMMIT
    commit = f"; commit {document['commit']}" if known else ""
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}; "
        f"Python {versions['python']}, {', '.join(shown)}{commit}"
    )


def rich_table(title: str, head: Sequence[str], rows: Sequence[Row]) -> Table:
    """A table for a terminal; columns that hold one value only go into the title."""
    from rich.markup import escape
    from rich.table import Table

    same = {
        n: rows[0][n]
        for n, name in enumerate(head)
        if name in _FOLDED and len({row[n] for row in rows}) == 1
    }
    facts = ", ".join(f"{head[n]} {value}" for n, value in same.items())
    kept = [n for n in range(len(head)) if n not in same]
    table = Table(
        title=escape(f"{title} ({facts})" if facts else title),
        title_justify="left",
        box=None,
        header_style="bold",
        pad_edge=False,
    )
    for n in kept:
        table.add_column(head[n], justify="left" if head[n] in _WORDS else "right")
    for row in rows:
        table.add_row(*(escape(row[n]) for n in kept))
    return table


def threads_text(count: int) -> str:
    """1 thread, 2 threads."""
    return f"{count} thread{'' if count == 1 else 's'}"


def _pending(cell: Cell) -> Row:
    known = [cell.label, cell.provider, str(cell.threads), size_text(cell.size), str(cell.batch)]
    return [*known, *["…"] * (len(_CELL_HEAD) - len(known))]


def _cell_row(cell: dict[str, Any]) -> Row:
    times = [f"{cell['latency_ms'][k]:.2f}" for k in ("p50", "p90", "p95", "p99", "worst")]
    return [
        f"{cell['model']} ({cell['precision']})",
        cell["bound_provider"],
        str(cell["threads"]),
        size_text(cell["size"]),
        str(cell["batch"]),
        *times,
        f"{cell['throughput_fps']:.1f}",
        f"{cell['warm_up']['first_ms']:.1f}",
    ]


def _start_row(row: dict[str, Any]) -> Row:
    keys = ("load_ms", "first_run_ms", "usual_run_ms", "first_depth_ms", "peak_memory_mb",
            "model_memory_mb")  # fmt: skip
    return [row["model"], row["provider"], str(row["threads"]), *(f"{row[k]:.1f}" for k in keys)]


def _clip_row(row: dict[str, Any]) -> Row:
    keys = ("end_to_end_fps", "end_to_end_ms", "cpu_ms", "decode_ms", "prepare_ms", "infer_ms",
            "write_ms")  # fmt: skip
    where = [row["model"], row["provider"], str(row["threads"]), row["clip"]]
    return [*where, *(f"{row[k]:.2f}" for k in keys)]


def _profile_rows(item: dict[str, Any]) -> list[Row]:
    rows = [_figures(part["operator"], part) for part in item["operators"][:_OPERATORS_SHOWN]]
    rows += [
        _figures(f"slowest: {part['node']} ({part['operator']})", part)
        for part in item["slowest"][:_OPERATORS_SHOWN]
    ]
    if "quantize_dequantize" in item:
        rows.append(_figures("Q/DQ left over", item["quantize_dequantize"]))
        for island in item["float_islands"]:
            names = ", ".join(dict.fromkeys(island["operators"]))
            rows.append(_figures(f"float island at {island['nodes'][0]} ({names})", island))
    for name, part in item["by_provider"].items():
        rows.append(_figures(f"on {name}", part))
    return rows


def _figures(name: str, part: dict[str, Any]) -> Row:
    return [name, str(part["count"]), f"{part['ms']:.3f}", f"{part['share']:.1%}"]

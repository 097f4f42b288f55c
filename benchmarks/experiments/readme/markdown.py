"""The tables of README and documentation as Markdown, from the JSON and from nothing else."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from depthrt.files.atomic_write import write_text
from experiments.readme.more_tables import more_tables

START, END = "<!-- table: begin -->", "<!-- table: end -->"
RESULT = Path("benchmarks/results/readme_table.json")
AMX_RESULT = Path(__file__).parents[2] / "results" / "readme_table_amx.json"
README, PERFORMANCE = Path("README.md"), Path("docs/performance.md")
_NAMES = {
    "depthrt-s": "built-in depthrt-s",
    "tcmonodepth-small": "TCMonoDepth-small",
    "meter-nyu": "METER nyu",
    "meter-kitti": "METER kitti",
    "midas-like": "MiDaS-small-like*",
    "depth-anything-v2-s-252": "Depth-Anything-V2-S*",
}
_ON = {"meter-nyu": ", rooms", "meter-kitti": ", roads"}
_SHORT = {
    "torch eager": "PyTorch",
    "torch.compile": "torch.compile",
    "OpenVINO, as it comes": "OpenVINO, as it comes",
    "depthrt float32": "depthrt, float32",
    "depthrt int8": "depthrt, int8",
    "depthrt[openvino], `--precision auto` and tuned": "depthrt[openvino], searched and tuned",
}


def short_table(document: dict[str, Any]) -> str:
    """Milliseconds and AbsRel of what a user would take, for the networks with trained weights."""
    trained = {name: net for name, net in document["networks"].items() if net["trained"]}
    heads = [
        f"{_NAMES[name]} {'x'.join(map(str, net['size']))}{_ON.get(name, '')}"
        for name, net in trained.items()
    ]
    lines = [f"| ms, AbsRel | {' | '.join(heads)} |", f"| --- |{' ---: |' * len(trained)}"]
    for row, shown in _SHORT.items():
        engines = [net["engines"].get(row, {}) for net in trained.values()]
        cells = [
            f"{e['latency_ms']:.1f}, {e['abs_rel']:.3f}" if "abs_rel" in e else "–" for e in engines
        ]
        lines.append(f"| {shown} | {' | '.join(cells)} |")
    return "\n".join(lines)


def write_pages(document: dict[str, Any]) -> None:
    """Put the short table into the README and the long one into the documentation."""
    readme = put_into(README.read_text(encoding="utf-8"), short_table(document))
    write_text(README, readme, overwrite=True)
    page = with_tables(PERFORMANCE.read_text(encoding="utf-8"), document)
    write_text(PERFORMANCE, page, overwrite=True)


def with_tables(page: str, document: dict[str, Any]) -> str:
    """The page of performance with all its tables; on the AMX machine with earlier weights."""
    page = put_into(page, table(document))
    page = put_into(page, table(json.loads(AMX_RESULT.read_text(encoding="utf-8"))), "table_amx")
    for name, text in more_tables().items():
        page = put_into(page, text, name)
    return page


def table(document: dict[str, Any]) -> str:
    """Time over depthrt's float32 and, in brackets, what is lost; with a legend."""
    networks = document["networks"]
    names = list(networks)
    heads = [f"{_NAMES.get(n, n)} {'x'.join(map(str, networks[n]['size']))}" for n in names]
    rows = list(dict.fromkeys(row for n in names for row in networks[n]["engines"]))
    lines = [f"| | {' | '.join(heads)} |", f"| --- |{' --- |' * len(names)}"]
    for row in rows:
        cells = [_cell(networks[name]["engines"].get(row, {})) for name in names]
        if any(cell != "–" for cell in cells):
            lines.append(f"| {row} | {' | '.join(cells)} |")
    text = "\n".join(lines)
    return "\n".join([text, "", *_legend(document, text)])


def put_into(page: str, text: str, name: str = "table") -> str:
    """The page with the table between the two marks of this name.

    Raises:
        ValueError: the marks are not there.
    """
    begin, end = START.replace("table", name), END.replace("table", name)
    before, begun, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        raise ValueError(f"the page lacks {begin} or {end}")
    return f"{before}{begin}\n{text}\n{end}{after}"


def _cell(engine: dict[str, Any]) -> str:
    if "ratio" not in engine:
        return "–"
    quality = ""
    if "abs_rel" in engine:
        quality = f" (AbsRel {engine['abs_rel']:.3f})"
    elif "error" in engine:
        quality = f" ({engine['error']:.3f})"
    return f"{engine['ratio']:.2f}{quality}"


def _sets(document: dict[str, Any]) -> str:
    """Which sets each trained network is judged on, and how many pictures."""
    networks = document["networks"].items()
    shown = [f"{_NAMES.get(name, name)} {net['sets']}" for name, net in networks if "sets" in net]
    return f" ({'; '.join(shown)})" if shown else ""


def _spread(document: dict[str, Any]) -> str:
    """How far rounds lie apart: differences below that mean nothing."""
    rows = [e for net in document["networks"].values() for e in net["engines"].values()]
    halves = [
        (row["quartiles"][1] - row["quartiles"][0]) / (2 * row["ratio"])
        for row in rows
        if "quartiles" in row and row["quartiles"][1] > row["quartiles"][0]
    ]
    if not halves:
        return "How far rounds lie apart is not known."
    typical, most = statistics.median(halves), max(halves)
    return (
        f"Half of a row's rounds lie within {typical:.0%} of what is shown, in the widest row "
        f"within {most:.0%}: smaller differences mean nothing."
    )


def _legend(document: dict[str, Any], lines: str) -> list[str]:
    machine, versions = document["machine"], dict(document["versions"])
    for network in document["networks"].values():
        for engine in network["engines"].values():
            versions |= {k: v for k, v in engine.get("versions", {}).items() if k != "python"}
    shown = ("onnxruntime", "torch", "openvino", "ai-edge-litert", "opencv", "transformers")
    listed = ", ".join(f"{name} {versions[name]}" for name in shown if name in versions)
    scale = ", ".join(
        f"{_NAMES.get(name, name)} {network['engines']['depthrt float32']['latency_ms']:.1f} ms"
        for name, network in document["networks"].items()
    )
    drawn = any("error" in e for n in document["networks"].values() for e in n["engines"].values())
    notes = [
        f"Time of one inference over `depthrt float32`, which took {scale}. Less is faster. "
        f"{_spread(document)} depthrt's threads spin during an inference only; the "
        f"others are as they come. In brackets the {document['accuracy']}{_sets(document)}.",
        "Nine tenths of aims_lab and tum_fr1_rpy were among what depthrt-s was trained on."
        if "aims_lab" in document["accuracy"]
        else "",
        "* Weights are drawn, not trained: in brackets the mean difference to float32 over the "
        "depth's spread."
        if drawn
        else "",
        "A dash: not to be had; the JSON says why." if "–" in lines else "",
    ]
    return [
        " ".join(note for note in notes if note),
        "",
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}; Python "
        f"{versions['python']}, {listed}; commit {document['commit']}; all in turn, "
        f"{document['rounds']} rounds, each in a process of its own: "
        "`python -m experiments.readme.table` makes it again.",
    ]

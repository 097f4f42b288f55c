"""The README's table as Markdown, from the JSON and from nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

START, END = "<!-- table: begin -->", "<!-- table: end -->"
RESULT = Path("benchmarks/results/readme_table.json")
_NAMES = {
    "depthrt-s": "built-in depthrt-s",
    "tcmonodepth-small": "TCMonoDepth-small",
    "midas-like": "MiDaS-small-like*",
    "depth-anything-v2-s-252": "Depth-Anything-V2-S*",
}


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


def put_into(readme: str, text: str) -> str:
    """The README with the table between its two marks.

    Raises:
        ValueError: the marks are not there.
    """
    before, start, rest = readme.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError(f"the README lacks {START} or {END}")
    return f"{before}{START}\n{text}\n{END}{after}"


def _cell(engine: dict[str, Any]) -> str:
    if "ratio" not in engine:
        return "–"
    quality = ""
    if "abs_rel" in engine:
        quality = f" (AbsRel {engine['abs_rel']:.3f})"
    elif "error" in engine:
        quality = f" ({engine['error']:.3f})"
    return f"{engine['ratio']:.2f}{quality}"


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
        f"Time of one inference over `depthrt float32`, which took {scale}: less is faster, below "
        "5% means nothing. depthrt's threads spin during an inference only; the others are as "
        f"they come. In brackets the {document['accuracy']}.",
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

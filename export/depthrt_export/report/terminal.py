"""The report of an export on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from depthrt_export.proof.independence import Together
from depthrt_export.report.export_report import Report

FIGURES = (
    ("sqnr_db", "SQNR", "{:.1f} dB"),
    ("pearson", "Pearson r", "{:.6f}"),
    ("delta1", "delta1 (aligned)", "{:.4f}"),
    ("mean_error", "mean |difference| / spread", "{:.2g}"),
    ("max_error", "greatest |difference| / spread", "{:.2g}"),
)
_EQUAL_DB = 999.0


def print_summary(report: Report) -> None:
    """What was made and how faithful it is, on standard error."""
    console = Console(stderr=True, highlight=False)
    spec = report.spec
    table = Table(title=f"{spec.name}: ONNX {spec.precision} against {report.reference}")
    for heading in ("figure", "mean", "worst frame"):
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    for name, title, form in FIGURES:
        table.add_row(title, *figure_texts(report, name, form))
    console.print(table)
    for line in facts(report):
        console.print(f"  {line}")


def figure_texts(report: Report, name: str, form: str) -> tuple[str, str]:
    """A figure's mean and worst frame in words."""
    figures = report.proof.figures
    mean, worst = (figures[key] for key in (name, f"worst_{name}"))
    mean_text, worst_text = (
        "equal" if name == "sqnr_db" and v >= _EQUAL_DB else form.format(v) for v in (mean, worst)
    )
    return mean_text, worst_text


def facts(report: Report) -> list[str]:
    """One line each: the file, what it takes, what was done, what it cost."""
    spec = report.spec
    # A file of others may say less of itself.
    varies = spec.provenance.get("varies", ())
    opset = f", opset {spec.provenance['opset']}" if "opset" in spec.provenance else ""
    frames = spec.measured.get("frames", {}).get("source", "")
    opened = f", {' and '.join(varies)} open" if varies else ""
    meaning = spec.kind.replace("_", " ") + (f" in {spec.unit}" if spec.unit else "")
    lines = [
        f"{report.target}: {report.file_bytes / 1e6:.2f} MB{opset}",
        f"uint8 RGB {spec.input.height}x{spec.input.width}{opened} -> {meaning}",
        f"{len(report.proof.frames)} frames" + (f" of {frames}" if frames else ""),
        *report.notes,
    ]
    for shape in report.proof.variations:
        size = f"{shape.size[0]}x{shape.size[1]}"
        lines.append(f"at batch {shape.batch}, {size}: greatest error {shape.max_error:.2g}")
    if report.proof.together is not None:
        lines.append(together_text(report.proof.together))
    if report.found is not None and report.found.picked is not None:
        lines.append("measurements are kept beside the file, in .search.json, for a next search")
    if "int8" in spec.measured:
        speed = spec.measured["int8"]
        other = speed.get("provider", "cpu")
        through = "" if other == "cpu" else f", through {other}"
        lines.append(f"time of one frame beside float32: {speed['latency_ratio']:.2f}{through}")
    total_s = sum(report.times_s.values())
    lines.append(f"{total_s:.1f} s, {report.peak_memory_bytes / 1e9:.2f} GB of memory at most")
    return lines


def together_text(together: Together) -> str:
    """What the proof found of frames that share a batch."""
    error = f"{together.max_error:.2g} of the depth's spread"
    sizes = " and ".join(map(str, together.batches))
    if together.ranges_of_batch:
        return (
            "the depth of a frame depends on its batch, whose ranges are taken together: up to "
            f"{error} from the frame alone, in batches of {sizes}"
        )
    return f"in batches of {sizes} every frame is as it is alone, within {error}"

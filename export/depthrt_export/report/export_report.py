"""What an export made, as data and in words: the file, its proof, its cost, and its search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from depthrt.model.providers import SessionOptions
from depthrt.spec import ModelSpec
from depthrt_export.model_file import journal_place
from depthrt_export.options import ExportOptions
from depthrt_export.proof.evaluator import LatencyRatio
from depthrt_export.proof.frame_split import calibration_source, validation_source
from depthrt_export.proof.independence import Together
from depthrt_export.proof.verify import Proof
from depthrt_export.quantise.targets import CPU
from depthrt_export.search.block_costs import ranked
from depthrt_export.search.candidates import Candidate, fits, float32
from depthrt_export.search.search import Found


@dataclass(frozen=True, eq=False)
class Report:
    """What came out: the file and its spec, the proof, what it cost.

    ``assumed``: what was assumed and what the witness says; the user was told while it was made.
    """

    target: Path
    spec: ModelSpec
    proof: Proof
    reference: str
    notes: tuple[str, ...]
    assumed: tuple[str, ...]
    times_s: Mapping[str, float]
    peak_memory_bytes: int
    file_bytes: int
    found: Found | None = None

    @property
    def refusal(self) -> str:
        """Why a search left the model in float32, empty if it did not."""
        return refusal(self.found) if self.found and self.found.picked is None else ""

    def to_dict(self) -> dict[str, Any]:
        """The JSON document of ``--json``."""
        return {
            "model": str(self.target),
            "file_bytes": self.file_bytes,
            "peak_memory_bytes": self.peak_memory_bytes,
            "times_s": dict(self.times_s),
            "notes": list(self.notes),
            "assumed": list(self.assumed),
            "spec": asdict(self.spec),
            **({} if self.found is None else {"search": document(self.found)}),
        }


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
    warned = contradiction(spec)
    if warned:  # last, as it is what is read
        console.print(f"WARNING: {warned}", style="yellow", markup=False, soft_wrap=True)


def contradiction(spec: ModelSpec) -> str:
    """What the witness said, where it speaks against how the network is fed or read; else empty."""
    witness = spec.provenance.get("witness")
    assumed = spec.provenance.get("assumed")
    if not (isinstance(witness, Mapping) and isinstance(assumed, Mapping)):
        return ""
    return str(assumed.get("witness", "")) if witness.get("verdict") == "contradicts" else ""


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
    journal = journal_place(report.target)
    if report.found is not None and journal.is_file():
        lines.append(
            f"{journal.name} beside the file keeps what was measured for a next search; it may be "
            "deleted"
        )
    if "int8" in spec.measured:
        speed = spec.measured["int8"]
        other = speed.get("provider", "cpu")
        through = "" if other == "cpu" else f", through {other}"
        low, high = speed["latency_ratio_interval"]
        times = speed["latency_ms"], speed["float32_latency_ms"]
        ratio = LatencyRatio(speed["latency_ratio"], low, high, *times, 0).text()
        lines.append(f"time of one frame beside float32{through}: {ratio}")
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


_NAMED = 3


def explain(found: Found) -> tuple[str, str, str]:
    """What was picked, what it was picked from, and what speaks against the others."""
    return _pick(found), _blocks(found), _others(found)


def refusal(found: Found) -> str:
    """One sentence for when nothing fits: why, and the best candidates."""
    allowed = f"{found.limits.max_drop:.3g}"
    if found.disproved is not None:
        pick, loss = found.disproved
        return (
            f"{pick.name} was measured at a loss of {pick.loss:.3g}, but its proof gives "
            f"{loss:.3g}, allowed {allowed}, so the float32 model was kept: run it again, all is "
            "measured anew"
        )
    near = sorted(
        (c for c in found.candidates if c.loss is not None),
        key=lambda c: (bool(c.refused), c.loss or 0.0),
    )
    listed = "; ".join(line(c) for c in near[:_NAMED]) or "none could be made"
    late = ", and the time was up: allow more with --budget" if found.out_of_time else ""
    return (
        f"no candidate is both exact enough ({_allowed(found)}) and clearly faster, so the float32 "
        f"model was kept (best: {listed}){late}"
    )


def _allowed(found: Found) -> str:
    """What a candidate may lose, in words: accuracy where it was measured, else the difference."""
    most = found.limits.max_drop
    if any(candidate.drop is not None for candidate in found.candidates):
        return f"AbsRel at most {100 * most:.3g}% above float32's"
    return f"within {most:.3g} of float32, of the depth's spread"


def document(found: Found) -> dict[str, Any]:
    """All that was measured, for JSON."""
    picked = found.picked or float32()
    return {
        "picked": picked.name,
        "error": picked.error,
        "worst": picked.worst,
        "ratio": picked.ratio,
        "explained": list(explain(found)),
        "validation_frames": found.frames,
        "providers": list(found.providers),
        "candidates": [c.to_dict() for c in found.candidates],
        "sensitivity": {name: dict(errors) for name, errors in found.sensitivity.items()},
        "complete": not found.out_of_time,
    }


def line(candidate: Candidate) -> str:
    """A candidate's figures."""
    if candidate.loss is None:
        return f"{candidate.name}: {candidate.refused}"
    parts = [f"error {candidate.error:.3f} (worst frame {candidate.worst:.3f})"]
    if candidate.drop is not None:
        parts.append(f"AbsRel {candidate.drop:+.1%}")
    if candidate.latency is not None:
        timed = candidate.latency
        parts.append(f"time {timed.ratio:.2f} [{timed.low:.2f}-{timed.high:.2f}]")
    return f"{candidate.name}: {', '.join(parts)}"


def _pick(found: Found) -> str:
    if found.picked is None:
        return f"float32 stays: {refusal(found)}"
    half = SessionOptions.named(found.picked.provider).precision
    kept = f"; `depthrt tune` has the file run in {half}" if half else ""
    return (
        f"picked {line(found.picked)}, on {found.frames} frames that calibration never saw "
        f"(allowed: {_allowed(found)}){kept}"
    )


def _blocks(found: Found) -> str:
    untimed = (
        "" if found.target.timed else f"; not timed, for {found.target.name} is not this machine"
    )
    if not found.sensitivity:
        return f"no recipe needed blocks in float to be saved{untimed}"
    name, errors = next(iter(found.sensitivity.items()))
    worst = ", ".join(f"{b} ({errors[b]:.3f})" for b in ranked(errors)[:_NAMED])
    return f"most sensitive to {name}: {worst}{untimed}"


def _others(found: Found) -> str:
    others = [c for c in found.candidates if c is not found.picked]
    slow = [c.name for c in others if c.refused and c.latency is not None]
    failed = [c.name for c in others if c.refused and c.latency is None]
    rough = [c.name for c in others if not c.refused and not fits(c, found.limits.max_drop)]
    groups = (
        ("not faster than float32", slow),
        ("not possible here", failed),
        ("too inexact", rough),
    )
    parts = [f"{why}: {'; '.join(names)}" for why, names in groups if names]
    late = " | the time was up before all was tried" if found.out_of_time else ""
    return (" | ".join(parts) or "nothing else came near") + late


def search_facts(found: Found, options: ExportOptions, calibration_frames: int) -> dict[str, Any]:
    """What the file's metadata says of the search."""
    picked = found.picked
    timed = None if picked is None else picked.latency
    return {
        "target": found.target.name,
        "recipe": "float32" if picked is None else picked.recipe,
        "provider": CPU if picked is None else picked.provider,
        "providers": list(found.providers),
        "float_blocks": [] if picked is None else list(picked.float_blocks),
        "error": None if picked is None else picked.error,
        "worst": None if picked is None else picked.worst,
        "accuracy_drop": None if picked is None else picked.drop,
        "latency_ratio": None if picked is None else picked.ratio,
        "latency_ratio_interval": None if timed is None else [timed.low, timed.high],
        "max_drop": options.max_drop,
        "validation_frames": found.frames,
        "validation_source": validation_source(options),
        "calibration_frames": calibration_frames,
        "calibration_source": calibration_source(options),
        "front": [{"name": c.name, "error": c.error, "ratio": c.ratio} for c in found.front],
        "complete": not found.out_of_time,
    }

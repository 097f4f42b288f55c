"""The report of an export as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depthrt.files.atomic_write import write_text
from depthrt.render.colormap import colour_table
from depthrt.render.views import nearness
from depthrt.spec import Kind
from depthrt_benchmarks.common.report.page import render_page
from depthrt_benchmarks.common.report.picture import Picture, png
from depthrt_benchmarks.common.report.plot import Plot
from depthrt_export.proof.fidelity import spread
from depthrt_export.proof.verify import FrameProof
from depthrt_export.report.export_report import FIGURES, Report, explain, facts, figure_texts, line
from depthrt_export.report.pareto_plot import pareto_plot
from depthrt_export.search.block_costs import ranked
from depthrt_export.search.search import Found

_FRAMES_SHOWN = 8
_BLOCKS_SHOWN = 16

Bar = tuple[str, str, float]  # name, figure, share of the bar's length


@dataclass(frozen=True)
class ShownFrame:
    """A frame of the proof: input, reference depth, ONNX depth and their difference."""

    label: str
    figures: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class ShownSearch:
    """A search in words, as a plot, and its blocks by their error."""

    explained: tuple[str, ...]
    plot: Plot
    candidates: list[str]
    sensitivity: list[tuple[str, list[Bar]]]


def write_page(report: Report, path: Path, *, overwrite: bool = False) -> None:
    """Write the page.

    Raises:
        TargetError: a file came there meanwhile that may not be replaced.
        WriteError: the page cannot be written.
    """
    write_text(path, render(report), overwrite=overwrite, errors="replace")


def render(report: Report) -> str:
    """The page as text."""
    values = {
        "spec": report.spec,
        "reference": report.reference,
        "figures": [(title, *figure_texts(report, key, form)) for key, title, form in FIGURES],
        "facts": [*report.assumed, *facts(report)],
        "phases": _bars(report.times_s, sum(report.times_s.values()), "{:.1f} s"),
        "search": None if report.found is None else shown_search(report.found),
        "frames": [_frame(frame, report) for frame in report.proof.frames[:_FRAMES_SHOWN]],
        "provenance": "\n".join(_provenance(report)),
    }
    return render_page("depthrt_export.report", values)


def _bars(values: Mapping[str, float], whole: float, form: str) -> list[Bar]:
    """Values in their order, as bars of which ``whole`` fills the width."""
    return [(name, form.format(v), v / max(whole, 1e-9)) for name, v in values.items()]


def shown_search(found: Found) -> ShownSearch:
    """What the page says of a search."""
    sensitivity = []
    for recipe, errors in found.sensitivity.items():
        shown = {block: errors[block] for block in ranked(errors)[:_BLOCKS_SHOWN]}
        sensitivity.append((recipe, _bars(shown, max(shown.values(), default=0.0), "{:.4f}")))
    candidates = [
        f"{line(c)}: {c.refused}" if c.refused and c.loss is not None else line(c)
        for c in found.candidates
    ]
    return ShownSearch(explain(found), pareto_plot(found), candidates, sensitivity)


def _provenance(report: Report) -> list[str]:
    known = report.spec.provenance
    lines = [
        f"{key}: {known[key]}"
        for key in ("source", "checkpoint", "checkpoint_sha256")
        if key in known
    ]
    packages = ", ".join(f"{name} {number}" for name, number in known.get("packages", {}).items())
    return [*lines, f"made with {packages}"] if packages else lines


def _frame(frame: FrameProof, report: Report) -> ShownFrame:
    spec, shown = report.spec, _shown_range(frame.reference)
    difference, full_scale = _difference(frame)
    values = frame.fidelity
    figures = (
        f"mean error {values.mean_error:.2g}, greatest {values.max_error:.2g}, "
        f"r {values.pearson:.5f}, delta1 {values.delta1:.4f}"
    )
    pictures = (
        png(np.ascontiguousarray(frame.sample.pixels.transpose(1, 2, 0)), "input"),
        png(_colours(frame.reference, shown, spec.kind), report.reference),
        png(_colours(frame.depth, shown, spec.kind), f"ONNX {spec.precision}"),
        png(difference, f"|difference|, white = {full_scale:.2g} of the spread"),
    )
    return ShownFrame(frame.sample.label, figures, pictures)


def _shown_range(reference: NDArray[np.float32]) -> tuple[float, float]:
    low, high = (float(v) for v in np.percentile(reference, (2, 98)))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _colours(
    depth: NDArray[np.float32], shown: tuple[float, float], kind: Kind
) -> NDArray[np.uint8]:
    """Depth (h,w) in RGB (h,w,3); both maps of a frame share the range ``shown``."""
    return np.asarray(colour_table("inferno")[nearness(depth, shown, kind)], np.uint8)


def _difference(frame: FrameProof) -> tuple[NDArray[np.uint8], float]:
    """|difference| over the spread in grey (h,w,3), and the value that is drawn white."""
    error = np.abs(frame.depth - frame.reference) / spread(frame.reference)
    full_scale = max(float(error.max()), 1e-12)
    grey = np.rint(error / full_scale * 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2), full_scale

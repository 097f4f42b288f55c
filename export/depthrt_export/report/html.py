"""The report of an export as one HTML page that needs no other file and no network."""

from __future__ import annotations

import base64
from html import escape
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.files.atomic_write import write_text
from depthrt.render.colormap import colour_table, nearness
from depthrt.spec import Kind
from depthrt_export.proof.fidelity import spread
from depthrt_export.proof.verify import FrameProof
from depthrt_export.report.export_report import Report
from depthrt_export.report.pareto_plot import section
from depthrt_export.report.terminal import FIGURES, facts, figure_texts

_FRAMES_SHOWN = 8


def write_page(report: Report, path: Path, *, overwrite: bool = False) -> None:
    """Draw input, reference depth, ONNX depth and their difference, with figures and times.

    Raises:
        TargetError: a file came there meanwhile that may not be replaced.
        WriteError: the page cannot be written.
    """
    write_text(path, render(report), overwrite=overwrite)


def render(report: Report) -> str:
    """The page as text."""
    template = (files("depthrt_export") / "report" / "page.html").read_text(encoding="utf-8")
    spec = report.spec
    rows = "".join(_frame(frame, report) for frame in report.proof.frames[:_FRAMES_SHOWN])
    parts = {
        "name": escape(spec.name),
        "precision": escape(spec.precision),
        "reference": escape(report.reference),
        "figures": "".join(_figure(report, *figure) for figure in FIGURES),
        "facts": "".join(f"<li>{escape(line)}</li>" for line in facts(report)),
        "phases": _phases(report),
        "frames": rows,
        "search": "" if report.found is None else section(report.found),
        "spec": escape(_provenance(report)),
    }
    for key, value in parts.items():
        template = template.replace(f"{{{{{key}}}}}", value)
    return template


def _figure(report: Report, name: str, title: str, form: str) -> str:
    mean, worst = figure_texts(report, name, form)
    return f"<tr><th>{escape(title)}</th><td>{mean}</td><td>{worst}</td></tr>"


def _phases(report: Report) -> str:
    total = max(sum(report.times_s.values()), 1e-9)
    return "".join(
        f"<tr><th>{escape(name)}</th><td>{time_s:.1f}&nbsp;s</td>"
        f'<td class="bar"><i style="width:{100 * time_s / total:.1f}%"></i></td></tr>'
        for name, time_s in report.times_s.items()
    )


def _provenance(report: Report) -> str:
    facts = report.spec.provenance
    lines = [
        f"{key}: {facts[key]}"
        for key in ("source", "checkpoint", "checkpoint_sha256")
        if key in facts
    ]
    packages = ", ".join(f"{name} {number}" for name, number in facts.get("packages", {}).items())
    return "\n".join([*lines, f"made with {packages}"] if packages else lines)


def _frame(frame: FrameProof, report: Report) -> str:
    shown = _shown_range(frame.reference)
    pictures = (
        ("input", np.ascontiguousarray(frame.sample.pixels.transpose(1, 2, 0))),
        (report.reference, _colours(frame.reference, shown, report.spec.kind)),
        (f"ONNX {report.spec.precision}", _colours(frame.depth, shown, report.spec.kind)),
    )
    difference, full_scale = _difference(frame)
    cells = "".join(_picture(picture, title) for title, picture in pictures)
    cells += _picture(difference, f"|difference|, white = {full_scale:.2g} of the spread")
    values = frame.fidelity
    line = (
        f"mean error {values.mean_error:.2g}, greatest {values.max_error:.2g}, "
        f"r {values.pearson:.5f}, delta1 {values.delta1:.4f}"
    )
    return (
        f"<section><h3>{escape(frame.sample.label)} <small>{line}</small></h3>"
        f'<div class="row">{cells}</div></section>'
    )


def _shown_range(reference: NDArray[np.float32]) -> tuple[float, float]:
    low, high = (float(v) for v in np.percentile(reference, (2, 98)))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _colours(
    depth: NDArray[np.float32], shown: tuple[float, float], kind: Kind
) -> NDArray[np.uint8]:
    """Both maps of a frame in the same colours: the reference's 2-98 percentile range."""
    return np.asarray(colour_table("inferno")[nearness(depth, shown, kind)], np.uint8)


def _difference(frame: FrameProof) -> tuple[NDArray[np.uint8], float]:
    """The difference in grey, its own greatest value white, so that its pattern can be seen."""
    error = np.abs(frame.depth - frame.reference) / spread(frame.reference)
    full_scale = max(float(error.max()), 1e-12)
    grey = np.rint(error / full_scale * 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2), full_scale


def _picture(image: NDArray[np.uint8], title: str) -> str:
    ok, content = cv2.imencode(".png", np.asarray(image[:, :, ::-1]))
    data = base64.b64encode(content.tobytes()).decode("ascii") if ok else ""
    caption = escape(title)
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )

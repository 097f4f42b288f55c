"""Plots of a bench document."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from depthrt_benchmarks.bench.measure.frames import size_text
from depthrt_benchmarks.bench.report.report import threads_text
from depthrt_benchmarks.common.pareto import pareto_front
from depthrt_benchmarks.common.report.plot import COLOURS, SOFT, Plot, colours, label, plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plots(document: dict[str, Any]) -> list[Plot]:
    """Latency distribution, throughput by batch and by threads, stages, latency against accuracy.

    A plot that would show one point alone is left out.
    """
    cells = document["cells"]
    drawn = [plot("Latency", partial(_distribution, document))]
    for key, unit in (("batch", "frames per inference"), ("threads", "threads")):
        if len({cell[key] for cell in cells}) > 1:
            draw = partial(_throughput, document, key, unit)
            drawn.append(plot(f"Throughput by {key}", draw))
    if any("frames" in row for row in document["clips"]):
        drawn.append(plot("A clip, file to file", partial(_stages, document)))
    if accuracy_points(document):
        drawn.append(plot("Latency against accuracy", partial(_pareto, document)))
    return drawn


def accuracy_points(document: dict[str, Any]) -> list[tuple[str, float, float]]:
    """Label, median latency of one frame in ms, and AbsRel, of models that have both."""
    errors = {row["sha256"]: row["abs_rel"] for row in document.get("accuracy", [])}
    hashes = {model["model"]: model["sha256"] for model in document["models"]}
    found = []
    for cell in document["cells"]:
        error = errors.get(hashes[cell["model"]])
        if error is not None and cell["batch"] == min(c["batch"] for c in document["cells"]):
            found.append((_name(document, cell), cell["latency_ms"]["p50"], error))
    return found


def _name(document: dict[str, Any], cell: dict[str, Any]) -> str:
    """The model, and of the setting what differs among the cells."""
    cells = document["cells"]
    parts = [cell["model"]]
    if len({c["bound_provider"] for c in cells}) > 1:
        parts.append(cell["bound_provider"])
    if len({c["threads"] for c in cells}) > 1:
        parts.append(threads_text(cell["threads"]))
    if len({tuple(c["size"]) for c in cells}) > 1:
        parts.append(size_text(cell["size"]))
    return label(", ".join(parts))


def _distribution(document: dict[str, Any], axes: Axes) -> None:
    smallest = min(cell["batch"] for cell in document["cells"])
    cells = [cell for cell in document["cells"] if cell["batch"] == smallest]
    for colour, cell in zip(colours(len(cells)), cells, strict=True):
        values = np.sort(cell["latencies_ms"])
        share = np.arange(1, len(values) + 1) / len(values) * 100
        axes.step(values, share, where="post", color=colour, label=_name(document, cell))
        axes.plot(cell["latency_ms"]["p50"], 50, "o", color=colour, markersize=4)
    axes.set_xscale("log")
    _plain_ticks(axes, [v for cell in cells for v in cell["latencies_ms"]])
    axes.set(xlabel=f"at most so many ms, batch {smallest}", ylabel="% of runs")
    axes.legend()


def _throughput(document: dict[str, Any], key: str, unit: str, axes: Axes) -> None:
    series: dict[str, dict[int, float]] = {}
    for cell in document["cells"]:
        name = _name({**document, "cells": [{**c, key: 0} for c in document["cells"]]}, cell)
        rates = series.setdefault(name, {})
        rates[cell[key]] = max(rates.get(cell[key], 0.0), cell["throughput_fps"])
    ticks = sorted({cell[key] for cell in document["cells"]})
    for colour, (name, rates) in zip(colours(len(series)), series.items(), strict=True):
        at = sorted(rates)
        axes.plot(
            [ticks.index(x) for x in at], [rates[x] for x in at], "o-", color=colour, label=name
        )
    axes.set_xticks(range(len(ticks)), [str(tick) for tick in ticks])
    axes.set(xlabel=unit, ylabel="frames/s")
    axes.set_ylim(bottom=0)
    axes.legend()


def _stages(document: dict[str, Any], axes: Axes) -> None:
    rows = [row for row in document["clips"] if "frames" in row]
    names = [
        label(f"{row['model']}\n{row['provider']}, {threads_text(row['threads'])}") for row in rows
    ]
    left = np.zeros(len(rows))
    for colour, stage in zip(COLOURS, ("decode", "prepare", "infer", "write"), strict=False):
        widths = np.array([row[f"{stage}_ms"] for row in rows])
        axes.barh(names, widths, 0.5, left=left, color=colour, label=stage)
        left += widths
    ends = [row["end_to_end_ms"] for row in rows]
    axes.plot(ends, names, "|", color=SOFT, markersize=22, label="wall")
    axes.set(xlabel="ms per frame that each stage works; stages run side by side")
    axes.set_xlim(right=1.35 * max(*left, *ends))
    axes.margins(y=0.3)
    axes.invert_yaxis()
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.18), ncols=5, fontsize=8,
                handlelength=1, columnspacing=1)  # fmt: skip


def _pareto(document: dict[str, Any], axes: Axes) -> None:
    points = accuracy_points(document)
    best = pareto_front(points, lambda point: point[1:])
    axes.plot([p[1] for p in best], [p[2] for p in best], "--", color=SOFT, zorder=1)
    for colour, (name, latency, error) in zip(colours(len(points)), points, strict=True):
        axes.plot(latency, error, "o", color=colour, label=name)
    axes.set(xlabel="ms, median of one inference", ylabel="AbsRel")
    axes.set_xlim(left=0, right=1.15 * max(p[1] for p in points))
    axes.set_ylim(bottom=0, top=1.2 * max(p[2] for p in points))
    axes.legend()


def _plain_ticks(axes: Axes, values: list[float]) -> None:
    """Ticks at 1, 2 and 5 times powers of ten, written out."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    low, high = min(values), max(values)
    steps = [m * 10.0**e for e in range(-3, 6) for m in (1, 2, 5)]
    fit = [step for step in steps if 0.7 * low <= step <= 1.4 * high] or [low]
    axes.set_xticks(fit)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(0.9 * low, 1.1 * high)

"""The report of an evaluation as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from depthrt_benchmarks.common.environment import UNKNOWN_COMMIT, environment
from depthrt_benchmarks.common.report.page import render_page
from depthrt_benchmarks.common.report.plot import Plot
from depthrt_benchmarks.evaluation.document import INTERVAL, video_dict
from depthrt_benchmarks.evaluation.job import Outcome
from depthrt_benchmarks.evaluation.metrics.metrics import BY_KEY, METRICS
from depthrt_benchmarks.evaluation.protocol.protocol import MIN_PIXELS
from depthrt_benchmarks.evaluation.report.charts import charts, keys
from depthrt_benchmarks.evaluation.report.pictures import DrawnImage, draw, drawn_rows
from depthrt_benchmarks.evaluation.scoring.evaluate import Evaluation
from depthrt_benchmarks.evaluation.scoring.paired import PairedDifferences
from depthrt_benchmarks.evaluation.scoring.statistics import Mean, means, ranges

WORST_DRAWN = 4

Cell = str | tuple[str, str]  # text, or text and a small line below it
Table = tuple[Sequence[str], list[list[Cell]]]


@dataclass(frozen=True)
class ShownImages:
    """Images of a model, drawn."""

    model: str
    images: list[DrawnImage]


@dataclass(frozen=True)
class ShownSet:
    """Everything on one set; tables are their column names and rows."""

    name: str
    anchor: str
    protocols: list[str]
    assumed: list[str]
    figures: Table
    keys: list[tuple[str, str]]
    plots: list[Plot]
    by_depth: Table
    comparisons: list[tuple[str, Sequence[str], list[list[Cell]]]]
    images: list[ShownImages]


def render(outcome: Outcome) -> str:
    """The page as text; the images that are drawn are read and predicted again."""
    names = dict.fromkeys(found.dataset for found in outcome.evaluations)
    values = {
        "models": ", ".join(model["model"] for model in outcome.models),
        "interval": INTERVAL,
        "gate": [line for verdict in outcome.verdicts for line in verdict.lines()],
        "warnings": outcome.warnings(),
        "sets": [_set(outcome, name) for name in names],
        "clips": _clips(outcome),
        "provenance": "\n".join(_provenance(outcome)),
    }
    return render_page("depthrt_benchmarks.evaluation.report", values)


def _set(outcome: Outcome, name: str) -> ShownSet:
    members = [found for found in outcome.evaluations if found.dataset == name]
    return ShownSet(
        name,
        "set-" + "".join(c if c.isalnum() else "-" for c in name),
        list(dict.fromkeys(found.protocol for found in members)),
        list(dict.fromkeys(line for found in members for line in found.assumed)),
        _figures(members),
        keys(members),
        charts(members),
        _by_depth(members),
        [_comparison(found) for found in outcome.comparisons if found.dataset == name],
        [
            ShownImages(
                drawn.evaluation.model,
                draw(drawn.task, drawn.dataset, drawn_rows(drawn.evaluation.rows, WORST_DRAWN)),
            )
            for drawn in outcome.drawn
            if drawn.evaluation in members
        ],
    )


def _figures(members: Sequence[Evaluation]) -> Table:
    """Every metric that a model has, with its interval, and flicker and TAE of videos."""
    found = [means(member.scored) for member in members]
    metrics = [m for m in METRICS if any(m.key in own for own in found)]
    videos = [video_dict(member) for member in members]
    head = [
        "model",
        "images",
        *(f"{m.title} {'↑' if m.larger_is_better else '↓'}" for m in metrics),
    ]
    head += ["flicker ↓", "TAE % ↓"] if any(videos) else []
    rows = []
    for member, own, video in zip(members, found, videos, strict=True):
        row = [member.model, _images(member), *(_mean(own.get(m.key)) for m in metrics)]
        rows.append([*row, *_video(video)] if any(videos) else row)
    return head, rows


def _images(found: Evaluation) -> Cell:
    measured = len(found.scored)
    skipped = len(found.rows) - measured
    return (str(measured), f"{skipped} skipped") if skipped else str(measured)


def _mean(mean: Mean | None) -> Cell:
    if mean is None:
        return "-"
    return f"{mean.value:.3f}", f"{mean.low:.3f}-{mean.high:.3f}"


def _video(video: dict[str, Any]) -> list[Cell]:
    flicker, tae = video.get("flicker"), video.get("tae_percent")
    return [
        "-" if flicker is None else f"{flicker['median']:.4f}",
        "-" if not tae else f"{sum(tae.values()) / len(tae):.2f}",
    ]


def _by_depth(members: Sequence[Evaluation]) -> Table:
    rows: list[list[Cell]] = [
        [e.model, r.name, f"{r.share:.1%}", str(r.images), f"{r.abs_rel:.3f}", f"{r.delta1:.3f}"]
        for e in members
        for r in ranges(e.rows, MIN_PIXELS)
    ]
    return ("model", "true depth", "of pixels", "images", "AbsRel", "δ1"), rows


def _comparison(found: PairedDifferences) -> tuple[str, Sequence[str], list[list[Cell]]]:
    better = {"first": f"{found.first} is better", "second": f"{found.second} is better"}
    rows: list[list[Cell]] = [
        [
            BY_KEY[d.metric].title,
            f"{d.value:+.3g}",
            f"{d.low:+.3g} to {d.high:+.3g}",
            str(d.images),
            better.get(d.better, "cannot tell"),
        ]
        for d in (each.turned() for each in found.differences)
    ]
    head = ("figure", "difference", "95% interval", "images", "verdict")
    return f"{found.first} minus {found.second}", head, rows


def _clips(outcome: Outcome) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    for found in outcome.clips:
        if found.flicker is not None:
            mean = found.flicker.mean
            figures = (mean.median, mean.p95, mean.median_of_spread)
            shown = [f"{figure:.4f}" for figure in figures]
            rows.append([found.source, found.model, *shown, str(found.flicker.pairs)])
    return rows


def _provenance(outcome: Outcome) -> list[str]:
    facts = environment()
    machine, versions = facts["machine"], facts["versions"]
    models = [
        f"{m['model']}: {m['file']}, sha256 {m['sha256'][:16]}, {m['kind']}, "
        f"{m['input'][0]}x{m['input'][1]}, provider {m['provider']}"
        for m in outcome.models
    ]
    return [
        *models,
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}",
        ", ".join(f"{name} {number}" for name, number in versions.items()),
        *([f"commit {facts['commit']}"] if facts["commit"] != UNKNOWN_COMMIT else []),
    ]

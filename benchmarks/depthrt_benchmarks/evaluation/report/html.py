"""The report of an evaluation as one HTML page that needs no other file and no network."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files

from depthrt_benchmarks.common.environment import environment
from depthrt_benchmarks.evaluation.document import INTERVAL, Comparison, video_dict
from depthrt_benchmarks.evaluation.job import Drawn, Outcome
from depthrt_benchmarks.evaluation.measure.run import Evaluation
from depthrt_benchmarks.evaluation.measure.statistics import Mean, means, ranges
from depthrt_benchmarks.evaluation.metrics.metrics import BY_KEY, METRICS
from depthrt_benchmarks.evaluation.protocol.protocol import MIN_PIXELS
from depthrt_benchmarks.evaluation.report import charts
from depthrt_benchmarks.evaluation.report.pictures import draw, drawn_rows

WORST_DRAWN = 4
_VERDICTS = {"first": "{first} is better", "second": "{second} is better"}


def render(outcome: Outcome) -> str:
    """The page as text; the images that are drawn are read and predicted again."""
    template = (files("depthrt_benchmarks") / "evaluation" / "report" / "page.html").read_text(
        encoding="utf-8"
    )
    names = [escape(model["model"]) for model in outcome.models]
    sets = dict.fromkeys(found.dataset for found in outcome.evaluations)
    warnings = "".join(f"<li>{escape(line)}</li>" for line in outcome.warnings())
    verdict = [] if outcome.verdict is None else outcome.verdict.lines()
    parts = {
        "title": ", ".join(names),
        "contents": "".join(f'<a href="#{_anchor(s)}">{escape(s)}</a>' for s in sets),
        "warnings": "".join(f'<p class="lead">{escape(line)}.</p>' for line in verdict)
        + (f'<div class="card warn"><ul>{warnings}</ul></div>' if warnings else ""),
        "sets": "".join(_set(outcome, dataset) for dataset in sets),
        "clips": _clips(outcome),
        "interval": escape(INTERVAL),
        "provenance": escape(_provenance(outcome)),
    }
    for key, value in parts.items():
        template = template.replace(f"{{{{{key}}}}}", value)
    return template


def _set(outcome: Outcome, dataset: str) -> str:
    members = [found for found in outcome.evaluations if found.dataset == dataset]
    protocols = "".join(
        f'<p class="lead">{escape(line)}.</p>'
        for line in dict.fromkeys(e.protocol for e in members)
    )
    compared = [c for c in outcome.comparisons if c.dataset == dataset]
    drawn = [d for d in outcome.drawn if d.evaluation in members]
    return (
        f'<h2 id="{_anchor(dataset)}">{escape(dataset)}</h2>{protocols}'
        f'<div class="card wide">{_figures(members)}</div>'
        f'<p class="keys">{charts.legend(members)}</p>'
        f'<div class="two"><div class="card">{charts.distribution(members)}</div>'
        f'<div class="card">{charts.by_depth(members)}</div></div>'
        f"{_ranges(members)}{''.join(map(_comparison, compared))}{''.join(map(_images, drawn))}"
    )


def _figures(members: Sequence[Evaluation]) -> str:
    columns = [m for m in METRICS if any(m.key in means(e.measured) for e in members)]
    video = any(video_dict(e) for e in members)
    head = "".join(f"<th>{escape(m.title)} {_arrow(m.larger_is_better)}</th>" for m in columns)
    head += "<th>flicker ↓</th><th>TAE % ↓</th>" if video else ""
    rows = ""
    for found in members:
        figures = means(found.measured)
        skipped = len(found.rows) - len(found.measured)
        images = f"{len(found.measured)}" + (f" <small>(-{skipped})</small>" if skipped else "")
        cells = "".join(f"<td>{_mean(figures.get(m.key))}</td>" for m in columns)
        cells += _video(found) if video else ""
        rows += f"<tr><th>{escape(found.model)}</th><td>{images}</td>{cells}</tr>"
    return (
        f"<table><thead><tr><th>model</th><th>images</th>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _arrow(larger_is_better: bool) -> str:
    return "↑" if larger_is_better else "↓"


def _mean(mean: Mean | None) -> str:
    if mean is None:
        return "-"
    return f"{mean.value:.3f}<small>{mean.low:.3f}-{mean.high:.3f}</small>"


def _video(found: Evaluation) -> str:
    video = video_dict(found)
    flicker, tae = video.get("flicker"), video.get("tae_percent")
    first = "-" if flicker is None else f"{flicker['median']:.4f}"
    second = "-" if not tae else f"{sum(tae.values()) / len(tae):.2f}"
    return f"<td>{first}</td><td>{second}</td>"


def _ranges(members: Sequence[Evaluation]) -> str:
    rows = ""
    for found in members:
        for r in ranges(found.rows, MIN_PIXELS):
            rows += (
                f"<tr><th>{escape(found.model)}</th><td>{escape(r.name)}</td><td>{r.share:.1%}</td>"
                f"<td>{r.images}</td><td>{r.abs_rel:.3f}</td><td>{r.delta1:.3f}</td></tr>"
            )
    return (
        "<details><summary>Figures by true depth</summary><table><thead><tr><th>model</th>"
        "<th>true depth</th><th>of pixels</th><th>images</th><th>AbsRel</th><th>δ1</th></tr>"
        "</thead>"
        f"<tbody>{rows}</tbody></table></details>"
    )


def _comparison(found: Comparison) -> str:
    rows = ""
    for d in found.differences:
        verdict = _VERDICTS.get(d.better, "cannot tell").format(
            first=found.first, second=found.second
        )
        rows += (
            f"<tr><th>{escape(BY_KEY[d.metric].title)}</th><td>{d.value:+.3g}</td>"
            f"<td>{d.low:+.3g} to {d.high:+.3g}</td><td>{d.images}</td>"
            f"<td>{escape(verdict)}</td></tr>"
        )
    return (
        f"<h3>{escape(found.second)} minus {escape(found.first)}</h3><div class='card wide'><table>"
        "<thead><tr><th>figure</th><th>difference</th><th>95% interval</th><th>images</th>"
        f"<th>verdict</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _images(drawn: Drawn) -> str:
    rows = drawn_rows(drawn.evaluation.rows, WORST_DRAWN)
    return (
        f"<details open><summary>{escape(drawn.evaluation.model)}: its worst images, a median and "
        f"the best</summary>{draw(drawn.task, drawn.dataset, rows)}</details>"
    )


def _clips(outcome: Outcome) -> str:
    rows = ""
    for found in outcome.clips:
        if found.flicker is not None:
            mean = found.flicker.mean
            rows += (
                f"<tr><th>{escape(found.source)}</th><td>{escape(found.model)}</td>"
                f"<td>{mean.median:.4f}</td><td>{mean.p95:.4f}</td>"
                f"<td>{mean.median_of_spread:.4f}</td><td>{found.flicker.pairs}</td></tr>"
            )
    if not rows:
        return ""
    return (
        '<h2>Flicker on clips</h2><div class="card wide"><table><thead><tr><th>clip</th>'
        "<th>model</th><th>median |ln ratio|</th><th>95th percentile</th><th>of the spread</th>"
        f"<th>pairs</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _provenance(outcome: Outcome) -> str:
    facts = environment()
    machine, versions = facts["machine"], facts["versions"]
    lines = [
        f"{m['model']}: {m['file']}, sha256 {m['sha256'][:16]}, {m['kind']}, "
        f"{m['input'][0]}x{m['input'][1]}, provider {m['provider']}"
        for m in outcome.models
    ]
    packages = ", ".join(f"{name} {number}" for name, number in versions.items())
    where = f"{machine['processor']}, {machine['cores']} cores, {machine['system']}"
    return "\n".join([*lines, where, packages, f"commit {facts['commit']}"])


def _anchor(dataset: str) -> str:
    return escape("set-" + "".join(c if c.isalnum() else "-" for c in dataset))

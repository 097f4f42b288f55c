"""Results for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape

from depthrt_benchmarks.evaluation.document import video_dict
from depthrt_benchmarks.evaluation.job import Outcome
from depthrt_benchmarks.evaluation.metrics.metrics import BY_KEY
from depthrt_benchmarks.evaluation.scoring.evaluate import Evaluation
from depthrt_benchmarks.evaluation.scoring.paired import PairedDifferences
from depthrt_benchmarks.evaluation.scoring.statistics import Mean, means

_WITH_INTERVAL = ("abs_rel", "delta1")
_PLAIN = ("rmse", "silog", "boundary_f1")
_SHARP, _BLURRED = "boundary_f1", 0.0005  # shown as 0.000
_FILE_WIDTH = 160
_COMPARED = ("abs_rel", "delta1", "boundary_f1")


def show(outcome: Outcome, *, to_stderr: bool) -> None:
    """Print all figures with their protocol, then comparisons."""
    from rich.console import Console
    from rich.table import Table

    console = Console(stderr=to_stderr, highlight=False, emoji=False)
    if not console.is_terminal:  # a file or a pipe has no width
        console.width = _FILE_WIDTH
    for dataset in dict.fromkeys(found.dataset for found in outcome.evaluations):
        members = [found for found in outcome.evaluations if found.dataset == dataset]
        table = Table(box=None, header_style="bold", title=_plain(dataset), title_justify="left")
        table.add_column("model", overflow="fold")
        blurred = _all_blurred(members)
        plain = tuple(key for key in _PLAIN if key != _SHARP or not blurred)
        for name in ("images", *(BY_KEY[k].title for k in (*_WITH_INTERVAL, *plain))):
            table.add_column(name, justify="right", no_wrap=True)
        videos = [video_dict(found) for found in members]
        if any(videos):
            table.add_column("flicker", justify="right")
            table.add_column("TAE %", justify="right")
        for found, video in zip(members, videos, strict=True):
            table.add_row(*_cells(found, plain), *(_video_cells(video) if any(videos) else ()))
        console.print(table)
        console.print("[dim]behind a mean: its 95% interval[/dim]")
        if blurred:
            console.print(
                "[dim]edge F1 is left out, it is 0.000: depth edges spread over several pixels of "
                "the truth, as of any network that is coarser[/dim]"
            )
        for protocol in dict.fromkeys(found.protocol for found in members):
            console.print(f"[dim]{_plain(protocol)}[/dim]")
        for line in dict.fromkeys(line for found in members for line in found.assumed):
            console.print(f"[dim]assumed: {_plain(line)}[/dim]")
        for comparison in outcome.comparisons:
            if comparison.dataset == dataset:
                console.print(_plain(_sentence(comparison)))
        console.print()
    for clip in outcome.clips:
        flicker = clip.flicker
        if flicker is not None:
            name = _plain(f"{clip.source}: {clip.model}")
            console.print(
                f"{name}: flicker {flicker.mean.median:.4f} median, "
                f"{flicker.mean.p95:.4f} 95th percentile, {flicker.mean.median_of_spread:.4f} of "
                f"the spread | {flicker.pairs} pairs of {clip.frames} frames"
            )

    for line in (line for verdict in outcome.verdicts for line in verdict.lines()):
        if not line.startswith("gate failed"):  # the command ends with those
            console.print(_plain(line), soft_wrap=True)


def _plain(text: str) -> str:
    """Text without markup; bytes of a file name that are no UTF-8 become "?"."""
    return escape(text.encode("utf-8", "replace").decode("utf-8"))


def _all_blurred(members: Sequence[Evaluation]) -> bool:
    """Whether edge F1 says nothing: 0 of every model that has it."""
    figures = [means(found.scored).get(_SHARP) for found in members]
    known = [figure.value for figure in figures if figure is not None]
    return bool(known) and max(known) < _BLURRED


def _cells(found: Evaluation, plain: Sequence[str]) -> list[str]:
    figures = means(found.scored)
    skipped = len(found.rows) - len(found.scored)
    images = f"{len(found.scored)}" + (f" (-{skipped})" if skipped else "")
    return [
        _plain(found.model),
        images,
        *(_with_interval(figures.get(key)) for key in _WITH_INTERVAL),
        *("-" if key not in figures else f"{figures[key].value:.3f}" for key in plain),
    ]


def _with_interval(mean: Mean | None) -> str:
    return "-" if mean is None else f"{mean.value:.3f} [dim]{mean.low:.3f}-{mean.high:.3f}[/dim]"


def _video_cells(video: dict[str, object]) -> tuple[str, str]:
    flicker, tae = video.get("flicker"), video.get("tae_percent")
    return (
        f"{flicker['median']:.4f}" if isinstance(flicker, dict) else "-",
        f"{sum(tae.values()) / len(tae):.2f}" if isinstance(tae, dict) else "-",
    )


def _sentence(comparison: PairedDifferences) -> str:
    """The model's figures minus those it is compared with, and verdicts, a line per figure."""
    lines = [f"{comparison.first} minus {comparison.second} (95% interval):"]
    for difference in comparison.differences:
        if difference.metric in _COMPARED:
            names = {"first": comparison.first, "second": comparison.second}
            verdict = names.get(difference.better, "")
            own = difference.turned()
            lines.append(
                f"  {BY_KEY[own.metric].title} {own.value:+.3g} "
                f"({own.low:+.3g} to {own.high:+.3g}): "
                + (f"{verdict} is better" if verdict else "cannot tell")
            )
    return "\n".join(lines)

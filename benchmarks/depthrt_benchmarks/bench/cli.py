"""`depthrt bench` and `depthrt bench compare`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from depthrt_benchmarks.bench.options import (
    comma_numbers,
    comma_sizes,
    comma_words,
    live_cells,
    live_pairs,
)

_OUT = "Reports"


class WithDefault(TyperGroup):
    """`depthrt bench MODEL...` means `depthrt bench run MODEL...`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert ``run`` where no command is named."""
        if args[:1] not in (["compare"], ["run"]):
            args = ["run", *args]
        return list(super().parse_args(ctx, args))


app = typer.Typer(
    cls=WithDefault,
    add_completion=False,
    help="How fast a model is; `compare`: whether one is faster than another.",
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace reports.")]
Track = Annotated[
    str | None,
    typer.Option(metavar="DIR|URI", help="Log the run with MLflow.", rich_help_panel=_OUT),
]


@app.command(
    epilog="Also here: `depthrt bench compare BASE HEAD`, whether one model or version is faster "
    "than another, and the gate for CI; see `depthrt bench compare --help`."
)
def run(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL...", help="depthrt .onnx files or built-in names."),
    ] = None,
    providers: Annotated[
        str, typer.Option(help="Comma-separated: auto, all (that work here), cpu, openvino, ...")
    ] = "auto",
    threads: Annotated[
        str | None, typer.Option(help="Comma-separated. Default: every usable core.")
    ] = None,
    batches: Annotated[
        str | None,
        typer.Option(help="Comma-separated. Default: 1 and 4, where the graph's batch is open."),
    ] = None,
    sizes: Annotated[
        str | None,
        typer.Option(metavar="HxW,...", help="Input sizes, for graphs whose size is open."),
    ] = None,
    duration: Annotated[float, typer.Option(help="Seconds for each setting.")] = 2.0,
    clip: Annotated[
        str, typer.Option(help="Clip to run from file to file; 'none' skips it.")
    ] = "demo",
    fresh: Annotated[
        bool,
        typer.Option("--fresh/--no-fresh", help="Measure load time and memory in new processes."),
    ] = True,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile",
            help="Profile by onnxruntime: operators, and what int8 graphs compute in float.",
        ),
    ] = False,
    accuracy: Annotated[
        list[Path] | None,
        typer.Option(
            help="JSON of `depthrt eval`; plots latency against accuracy.", rich_help_panel=_OUT
        ),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write Markdown tables.", rich_help_panel=_OUT)
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Write a page with plots (needs the extra bench).", rich_help_panel=_OUT),
    ] = None,
    overwrite: Overwrite = False,
    track: Track = None,
    as_json: Json = False,
) -> None:
    """Measure models on this machine: latency, throughput, start, memory, a clip end to end.

    All settings run in turn, so load from elsewhere affects all alike.
    """
    from depthrt.model.catalogue.registry import DEFAULT_MODEL, find_model
    from depthrt_benchmarks.bench.bench import Extras, bench
    from depthrt_benchmarks.bench.measure.settings_in_turn import Wanted
    from depthrt_benchmarks.bench.report import mlflow_runs, outputs
    from depthrt_benchmarks.common.report import mlflow_log

    wanted = Wanted(
        providers=comma_words(providers, "--providers"),
        threads=comma_numbers(threads, "--threads"),
        batches=comma_numbers(batches, "--batches"),
        sizes=comma_sizes(sizes),
        duration_s=duration,
    )
    extras = Extras(None if clip == "none" else clip, fresh, profile)
    read = [Path(text) for text in (models or [])] + (accuracy or [])
    outputs.check(markdown, html, overwrite=overwrite, sources=read)
    known = outputs.read_accuracy(accuracy or [])
    if track is not None:
        mlflow_log.check(track)
    with live_cells() as listener:
        document = bench(models or [DEFAULT_MODEL], wanted, extras, listener)
    document["accuracy"] = known
    try:
        outputs.write(document, markdown, html, overwrite=overwrite)
        if track is not None:
            files = tuple(path for path in (html, markdown) if path is not None)
            paths = [find_model(text) for text in models or [DEFAULT_MODEL]]
            for logged in mlflow_runs.bench_runs(document, paths, files):
                mlflow_log.log(track, logged)
    finally:  # print what was measured even where a report cannot be written
        if as_json:
            typer.echo(json.dumps(document))
        else:
            outputs.print_tables(document)


@app.command()
def compare(
    base: Annotated[
        str,
        typer.Argument(
            metavar="BASE", help="A model, a JSON of `depthrt bench --json`, or an environment."
        ),
    ],
    head: Annotated[
        str, typer.Argument(metavar="HEAD", help="A model, or an environment (.venv or a python).")
    ],
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="The model that two environments run.")
    ] = None,
    provider: Annotated[str, typer.Option(help="cpu, cuda, openvino, ...")] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="Default: every usable core.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Frames per inference.")] = 1,
    size: Annotated[
        str | None, typer.Option(metavar="HxW", help="Input sizes, for graphs whose size is open.")
    ] = None,
    frame: Annotated[
        bool,
        typer.Option(
            "--frame", help="Time whole frames, with preprocessing, instead of the network alone."
        ),
    ] = False,
    fail_above: Annotated[
        float | None,
        typer.Option(
            help="Gate: exit 4 when the interval of the median, mean or 90th percentile lies above "
            "this many times the base's, or when BASE and HEAD are the same."
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="Time limit; a clear result ends it sooner.")
    ] = 60.0,
    margin: Annotated[
        float,
        typer.Option(help="Measure until the difference is surely above this, or surely below."),
    ] = 0.02,
    confidence: Annotated[
        float, typer.Option(help="Confidence of the intervals, all looks at the data together.")
    ] = 0.99,
    markdown: Annotated[
        Path | None, typer.Option(help="Write a Markdown table.", rich_help_panel=_OUT)
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Add to history.json and benchmark.json.", rich_help_panel=_OUT
        ),
    ] = None,
    overwrite: Overwrite = False,
    track: Track = None,
    as_json: Json = False,
) -> None:
    """Is HEAD slower than BASE? Both run in turn until the interval of their ratio is clear.

    The verdict is faster or slower when the median's interval lies on one side of 1, else "cannot
    tell"; equal models are called different once in 100 comparisons at most (`--confidence`). Mean
    and 90th percentile are given, too. `--fail-above 1.05` is a gate for CI. It exits with 4 when
    one of the three intervals lies above 1.05, or when nothing was compared: two models of the same
    content, or two environments that run the same installation of depthrt with the same packages.
    Slow runs rarer than 1 in 10 show only where they move the mean.
    """
    from depthrt.files.atomic_write import write_text
    from depthrt_benchmarks.bench.compare.command import compare
    from depthrt_benchmarks.bench.compare.comparison import Setting
    from depthrt_benchmarks.bench.compare.pairs import Rules
    from depthrt_benchmarks.bench.measure.frames import parse_size
    from depthrt_benchmarks.bench.report import mlflow_runs, outputs
    from depthrt_benchmarks.common.report import mlflow_log

    read = [Path(text) for text in (base, head, model) if text is not None]
    outputs.check(markdown, None, overwrite=overwrite, sources=read, history=history)
    if track is not None:
        mlflow_log.check(track)
    setting = Setting(
        provider,
        threads,
        batch,
        None if size is None else parse_size(size),
        "frame" if frame else "network",
    )
    rules = Rules(round(1 - confidence, 9), margin, fail_above, seconds)
    with live_pairs() as progress:
        result = compare(base, head, model, setting, rules, progress)
    document = outputs.comparison_document(result)
    try:
        if markdown is not None:
            text = outputs.comparison_markdown(document)
            write_text(markdown, text, overwrite=overwrite)
        if history is not None:
            from depthrt_benchmarks.bench.compare.history import add

            add(history, document)
        if track is not None:
            files = () if markdown is None else (markdown,)
            mlflow_log.log(track, mlflow_runs.comparison_run(document, files))
    finally:
        said = json.dumps(document) if as_json else "\n".join(outputs.comparison_lines(result))
        typer.echo(said)
    result.raise_if_regressed()

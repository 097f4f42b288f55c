"""``depthrt export``: the command line of the export."""

from __future__ import annotations

import importlib.util
import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from depthrt.errors import AccuracyGateError, UsageError
from depthrt_export.search.options import (
    Budget,
    Dataset,
    Drop,
    Front,
    Target,
    Validate,
    parse_seconds,
    parse_share,
)

if TYPE_CHECKING:
    from depthrt_export.options import ExportOptions, ExportPrecision, SourceOptions, Vary

app = typer.Typer(add_completion=False)

_NETWORK = "The network, where its source does not say"
_CHECKPOINT = "Weights"
_FILE = "The file"
_PROOF = "Proof and report"


class Kind(str, Enum):
    """What the output means."""

    inverse = "inverse-depth"
    depth = "depth"
    metric = "metric"


class ResizeRule(str, Enum):
    """How a frame becomes the input."""

    stretch = "stretch"
    keep = "keep-aspect"
    pad = "pad"


class Varies(str, Enum):
    """What a graph may leave open."""

    batch = "batch"
    size = "size"


class Format(str, Enum):
    """Number formats."""

    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"
    int8 = "int8"
    auto = "auto"


_PRECISION: dict[Format, ExportPrecision] = {
    Format.fp32: "float32",
    Format.fp16: "float16",
    Format.bf16: "bfloat16",
    Format.int8: "int8",
    Format.auto: "auto",
}


@app.command()
def export(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Hugging Face id or folder, FILE.py:FACTORY, PACKAGE.MODULE:FACTORY, a .pt2 or a "
            "TorchScript file; or our float32 .onnx.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .onnx file to make.")],
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="State dict: .pt, .pth, .tar, .safetensors.", rich_help_panel=_CHECKPOINT
        ),
    ] = None,
    key: Annotated[
        str,
        typer.Option(help="Where it is in a nested dict: a.b.", rich_help_panel=_CHECKPOINT),
    ] = "",
    trust_code: Annotated[
        bool,
        typer.Option(
            "--trust-code",
            help="Let a file run the code that it holds.",
            rich_help_panel=_CHECKPOINT,
        ),
    ] = False,
    kind: Annotated[
        Kind | None, typer.Option(help="What the output means.", rich_help_panel=_NETWORK)
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help="m for metres.", rich_help_panel=_NETWORK)
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="Input size in pixels.", rich_help_panel=_NETWORK),
    ] = None,
    multiple_of: Annotated[
        int | None, typer.Option(min=1, help="What sides divide by.", rich_help_panel=_NETWORK)
    ] = None,
    resize: Annotated[
        ResizeRule | None,
        typer.Option(help="How frames get to that size.", rich_help_panel=_NETWORK),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            metavar="R,G,B",
            help="Input = (pixel x scale - mean) / std, pixel in 0..255.",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    std: Annotated[
        str | None, typer.Option(metavar="R,G,B", help="See --mean.", rich_help_panel=_NETWORK)
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(help="See --mean; 1/255 if not said.", rich_help_panel=_NETWORK),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The model's name.", rich_help_panel=_NETWORK)
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="Of the weights.", rich_help_panel=_NETWORK)
    ] = None,
    precision: Annotated[
        Format, typer.Option(help="Numbers inside the graph.", rich_help_panel=_FILE)
    ] = Format.fp32,
    dynamic: Annotated[
        list[Varies] | None,
        typer.Option(help="Leave open; may be given twice.", rich_help_panel=_FILE),
    ] = None,
    opset: Annotated[int, typer.Option(min=20, help="ONNX opset.", rich_help_panel=_FILE)] = 20,
    rewrite: Annotated[
        bool,
        typer.Option(
            "--rewrite/--no-rewrite", help="Exact rewrites for speed.", rich_help_panel=_FILE
        ),
    ] = True,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output.", rich_help_panel=_FILE)
    ] = False,
    frames: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Real frames: image, folder, glob or video; depthrt's own clip if not said.",
            rich_help_panel=_PROOF,
        ),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="int8: frames for the ranges; else --frames, but for a fifth.",
            rich_help_panel=_PROOF,
        ),
    ] = None,
    max_error: Annotated[
        float,
        typer.Option(
            min=0.0,
            help="int8: mean difference to float32 allowed, of the depth's spread.",
            rich_help_panel=_PROOF,
        ),
    ] = 0.10,
    validate: Validate = None,
    dataset: Dataset = None,
    target: Target = "host",
    max_drop: Drop = "5%",
    budget: Budget = "10m",
    front: Front = None,
    report: Annotated[
        Path | None, typer.Option(help="Draw the proof: an .html file.", rich_help_panel=_PROOF)
    ] = None,
    track: Annotated[
        str | None,
        typer.Option(metavar="DIR|URI", help="Log it with MLflow.", rich_help_panel=_PROOF),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document.", rich_help_panel=_PROOF)
    ] = False,
) -> None:
    """Turn a trained PyTorch depth network into one ONNX file, proven on real frames.

    The file takes uint8 RGB pixels N,3,H,W and gives float32 depth N,H,W; it needs no other file.
    """
    _require_extra()
    from depthrt_export.options import ExportOptions, SourceOptions, parse_kind, parse_size
    from depthrt_export.options import parse_three as three

    meaning = (None, None) if kind is None else parse_kind(kind.value)
    if unit not in (None, "m"):
        raise UsageError(f"--unit {unit!r} is not m: other units are not known")
    said = SourceOptions(
        checkpoint=checkpoint,
        key=key,
        trust_code=trust_code,
        name=name,
        licence=licence,
        kind=meaning[0],
        unit="m" if unit else meaning[1],
        mean=three(mean, "--mean"),
        std=three(std, "--std"),
        scale=scale,
        size=None if size is None else parse_size(size),
        multiple_of=multiple_of,
        resize=None if resize is None else _underscored(resize),
    )
    options = ExportOptions(
        precision=_PRECISION[precision],
        vary=frozenset(_vary(v) for v in dynamic or []),
        opset=opset,
        rewrite=rewrite,
        frames=frames,
        calibration=calibration,
        max_error=max_error,
        overwrite=overwrite,
        validate=validate,
        dataset=dataset,
        target=target,
        max_drop=parse_share(max_drop),
        budget_s=parse_seconds(budget),
    )
    _run(source, output, said, options, report, front, track, as_json)


def _run(
    source: str,
    output: Path,
    said: SourceOptions,
    options: ExportOptions,
    report: Path | None,
    front: Path | None,
    track: str | None,
    as_json: bool,
) -> None:
    from depthrt_export.build.build import build
    from depthrt_export.build.input_files import check_outputs
    from depthrt_export.progress import Phases
    from depthrt_export.report.terminal import print_summary

    if output.suffix != ".onnx":
        raise UsageError(f"{output} does not end in .onnx")
    if report is not None and report.suffix not in (".html", ".htm"):
        raise UsageError(f"--report {report} does not end in .html")
    pages = [page for page in (report, front) if page is not None]
    check_outputs(source, output, said, options, pages)
    if front is not None and (front.suffix not in (".svg", ".png") or options.precision != "auto"):
        raise UsageError(f"--front {front}: an .svg or .png file of a search (--precision auto)")
    if track is not None:
        from depthrt_benchmarks.common.report.mlflow_log import check

        check(track)
    if pages:
        from depthrt_benchmarks.common.report.page import require_libraries

        require_libraries("--report and --front", "export")
    result = build(source, output, said, options, Phases(quiet=as_json))
    try:
        if report is not None:
            from depthrt_export.report.html import write_page

            write_page(result, report, overwrite=options.overwrite)
        if front is not None and result.found is not None:
            from depthrt_export.report.pareto_plot import write_pareto_plot

            write_pareto_plot(result.found, front, overwrite=options.overwrite)
        if track is not None:
            from depthrt_benchmarks.common.report.mlflow_log import log
            from depthrt_export.report.tracked_runs import runs

            for run in runs(result, tuple(pages)):
                log(track, run)
    finally:  # the model is in its place, whatever became of the rest
        if as_json:
            typer.echo(json.dumps(result.to_dict()))
        else:
            print_summary(result)
    if result.refusal:
        raise AccuracyGateError(result.refusal)


def _require_extra() -> None:
    missing = [n for n in ("torch", "onnx", "onnxscript") if importlib.util.find_spec(n) is None]
    if missing:
        raise UsageError(
            f"{', '.join(missing)} needed for export is not installed: "
            'pip install "depthrt[export]"'
        )


def _underscored(rule: ResizeRule) -> Any:
    return rule.value.replace("-", "_")


def _vary(varies: Varies) -> Vary:
    return "batch" if varies is Varies.batch else "size"

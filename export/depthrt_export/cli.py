"""``depthrt export``: the command line of the export."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from depthrt.cli.share import parse_share
from depthrt.errors import UsageError
from depthrt.system.installation import install_command
from depthrt_export import cli_options as said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from depthrt_export.deploy.deploy import Places
    from depthrt_export.deploy.triton import Deployed
    from depthrt_export.options import ExportOptions, ExportPrecision, SourceOptions
    from depthrt_export.report.export_report import Report

app = typer.Typer(add_completion=False)

_PRECISION: dict[said.Format, ExportPrecision] = {
    said.Format.fp32: "float32",
    said.Format.fp16: "float16",
    said.Format.bf16: "bfloat16",
    said.Format.int8: "int8",
    said.Format.auto: "auto",
}


@dataclass(frozen=True)
class _Extras:
    """What is wanted beside the model: a page, a plot, a run of MLflow, what servers need, JSON."""

    report: Path | None
    front: Path | None
    track: str | None
    triton: Path | None
    kserve: Path | None
    as_json: bool

    @property
    def files(self) -> tuple[Path, ...]:
        """Page and plot, as far as they are wanted."""
        return tuple(path for path in (self.report, self.front) if path is not None)

    @property
    def is_deployed(self) -> bool:
        """Whether the file goes to a place where it is served."""
        return self.triton is not None or self.kserve is not None

    @property
    def places(self) -> Places:
        """Where the file goes to be served."""
        from depthrt_export.deploy.deploy import Places

        return Places(self.triton, self.kserve)


@app.command()
def export(
    context: typer.Context,
    source: said.Source,
    output: said.Output = None,
    checkpoint: said.Checkpoint = None,
    key: said.Key = "",
    ignore: said.Ignore = None,
    trust_code: said.TrustCode = False,
    kind: said.KindOption = None,
    unit: said.UnitOption = None,
    size: said.Size = None,
    multiple_of: said.MultipleOf = None,
    resize: said.ResizeOption = None,
    mean: said.Mean = None,
    std: said.Std = None,
    scale: said.Scale = None,
    bgr: said.Bgr = False,
    depth_output: said.DepthOutput = "",
    also: said.Also = None,
    name: said.Name = None,
    licence: said.Licence = None,
    precision: said.Precision = said.Format.fp32,
    dynamic: said.Dynamic = None,
    opset: said.Opset = 20,
    rewrite: said.Rewrite = True,
    overwrite: said.Overwrite = False,
    triton: said.Triton = None,
    kserve: said.Kserve = None,
    frames: said.Frames = None,
    calibration: said.Calibration = None,
    max_error: said.MaxError = 0.10,
    strict: said.Strict = False,
    golden: said.Golden = True,
    validate: said.Validate = None,
    dataset: said.Dataset = None,
    target: said.Target = "host",
    max_drop: said.MaxDrop = "5%",
    budget: said.Budget = "10m",
    front: said.Front = None,
    report: said.Report = None,
    track: said.Track = None,
    as_json: said.AsJson = False,
) -> None:
    """Turn a trained depth network, or an ONNX file of one, into one file, proven on real frames.

    The file takes uint8 RGB pixels N,3,H,W and gives float32 depth N,H,W; it needs no other file.
    """
    if output is None:
        from depthrt_export.deploy.cli import deploy_without_export

        deploy_without_export(source, triton, kserve, _given(context), overwrite, as_json)
        return
    _require_extra(source)
    from depthrt_export.options import (
        ExportOptions,
        SourceOptions,
        parse_also,
        parse_kind,
        parse_resize,
        parse_seconds,
        parse_size,
    )
    from depthrt_export.options import parse_three as three

    said.require_effect(_given(context), precision.value, target)
    meaning = (None, None) if kind is None else parse_kind(kind)
    if unit not in (None, "m"):
        raise UsageError(f"--unit {unit!r} is not m: other units are not known")
    network = SourceOptions(
        checkpoint=checkpoint,
        key=key,
        ignore=tuple(ignore or ()),
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
        resize=None if resize is None else parse_resize(resize),
        output=depth_output,
        also=parse_also(also or ()),
        bgr=bgr,
    )
    options = ExportOptions(
        precision=_PRECISION[precision],
        vary=frozenset(varies.value for varies in dynamic or []),
        opset=opset,
        rewrite=rewrite,
        frames=frames,
        calibration=calibration,
        max_error=max_error,
        overwrite=overwrite,
        validate=validate,
        dataset=dataset,
        target=target,
        max_drop=parse_share(max_drop, "--max-drop"),
        budget_s=parse_seconds(budget),
        strict=strict,
        golden=golden,
    )
    _run(source, output, network, options, _Extras(report, front, track, triton, kserve, as_json))


def _given(context: typer.Context) -> set[str]:
    """The names of the parameters that were typed, not taken from their defaults."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, where in sources.items() if where and where.name == "COMMANDLINE"}


def _run(
    source: str,
    output: Path,
    network: SourceOptions,
    options: ExportOptions,
    extras: _Extras,
) -> None:
    from depthrt_export.build.build import build
    from depthrt_export.console import Phases

    _check(source, output, network, options, extras)
    result = build(source, output, network, options, Phases(quiet=extras.as_json))
    done: list[Deployed] = []
    try:
        _write_extras(result, extras, overwrite=options.overwrite)
        done = _deploy(output, extras, overwrite=options.overwrite)
    finally:  # the model is in its place, whatever became of the rest
        _tell(result, done, as_json=extras.as_json)


def _tell(result: Report, done: Sequence[Deployed], *, as_json: bool) -> None:
    from depthrt_export.report.export_report import print_summary

    also: dict[str, Any] = {}
    said_of_servers: Sequence[str] = ()
    if done:
        from depthrt_export.deploy.deploy import documents, lines

        also, said_of_servers = {"deployed": documents(done)}, lines(done)
    if as_json:
        typer.echo(json.dumps({**result.to_dict(), **also}))
        return
    print_summary(result)
    for line in said_of_servers:
        typer.echo(line)


def _check(
    source: str, output: Path, network: SourceOptions, options: ExportOptions, extras: _Extras
) -> None:
    """Refuse now what would fail only after minutes of work."""
    from depthrt_export.model_file import check_outputs

    report, front = extras.report, extras.front
    if output.suffix != ".onnx":
        raise UsageError(f"{output} does not end in .onnx")
    if report is not None and report.suffix not in (".html", ".htm"):
        raise UsageError(f"--report {report} does not end in .html")
    check_outputs(source, output, network, options, extras.files)
    if front is not None and (front.suffix not in (".svg", ".png") or options.precision != "auto"):
        raise UsageError(f"--front {front}: an .svg or .png file of a search (--precision auto)")
    if extras.is_deployed:
        extras.places.check()
    if extras.track is not None:
        from depthrt_benchmarks.common.report.mlflow_log import check

        check(extras.track)
    if extras.files:
        from depthrt_benchmarks.common.report.page import require_libraries

        require_libraries("--report and --front", "onnx")


def _write_extras(result: Report, extras: _Extras, *, overwrite: bool) -> None:
    if extras.report is not None:
        from depthrt_export.report.html import write_page

        write_page(result, extras.report, overwrite=overwrite)
    if extras.front is not None and result.found is not None:
        from depthrt_export.report.pareto_plot import write_pareto_plot

        write_pareto_plot(result.found, extras.front, overwrite=overwrite)
    if extras.track is not None:
        from depthrt_benchmarks.common.report.mlflow_log import log
        from depthrt_export.report.tracked_runs import runs

        for run in runs(result, extras.files):
            log(extras.track, run)


def _deploy(output: Path, extras: _Extras, *, overwrite: bool) -> list[Deployed]:
    """What was written for servers, if anything is wanted."""
    if not extras.is_deployed:
        return []
    from depthrt_export.deploy.deploy import Settings, deploy

    return deploy(output, extras.places, Settings(), overwrite=overwrite)


def _require_extra(source: str) -> None:
    """Refuse a source whose libraries are not installed; an ONNX file needs no PyTorch."""
    libraries, extra = ["onnx", "onnxscript"], "onnx"
    if not _is_onnx(source):
        libraries, extra = ["torch", *libraries], "export"
    missing = [name for name in libraries if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"{', '.join(missing)} needed for export is not installed: {install_command(extra)}"
        )


def _is_onnx(source: str) -> bool:
    from depthrt_export.sources.onnx_file.find import onnx_source

    return onnx_source(source) is not None

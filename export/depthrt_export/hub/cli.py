"""``depthrt pull``: a published network, fetched and proven, under its name."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from depthrt_export import cli_options as said

if TYPE_CHECKING:
    from depthrt_export.options import SourceOptions

app = typer.Typer(add_completion=False)


@app.command()
def pull(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A name that `depthrt models` lists, hf:ORG/REPO or hf:ORG/REPO/FILE.onnx, "
            "with @REVISION for another than main.",
        ),
    ],
    kind: said.KindOption = None,
    size: said.Size = None,
    multiple_of: said.MultipleOf = None,
    resize: said.ResizeOption = None,
    mean: said.Mean = None,
    std: said.Std = None,
    scale: said.Scale = None,
    bgr: said.Bgr = False,
    depth_output: said.DepthOutput = "",
    licence: said.Licence = None,
    strict: said.Strict = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Fetch and make it again where it is here.")
    ] = False,
    as_json: said.AsJson = False,
) -> None:
    """Fetch a published depth network from the Hugging Face hub, prove it and keep it.

    Licence and size are told before it is fetched. Afterwards NAME is what -m takes.
    """
    from depthrt_export.hub.pull import pull as fetch_and_prove
    from depthrt_export.options import SourceOptions, parse_kind, parse_resize, parse_size
    from depthrt_export.options import parse_three as three

    meaning = (None, None) if kind is None else parse_kind(kind)
    network = SourceOptions(
        kind=meaning[0],
        unit=meaning[1],
        size=None if size is None else parse_size(size),
        multiple_of=multiple_of,
        resize=None if resize is None else parse_resize(resize),
        mean=three(mean, "--mean"),
        std=three(std, "--std"),
        scale=scale,
        bgr=bgr,
        output=depth_output,
        licence=licence,
    )

    def convert(source: str, output: Path, network: SourceOptions) -> None:
        _build(source, output, network, overwrite=overwrite, strict=strict, quiet=as_json)

    found = fetch_and_prove(
        name, network, convert, lambda text: typer.echo(text, err=True), overwrite=overwrite
    )
    if as_json:
        typer.echo(json.dumps({**asdict(found), "path": str(found.path)}))
    elif found.fetched:
        typer.echo(f"{name} is in {found.path}: depthrt run VIDEO -m {name} -o OUT.mp4")
    else:
        typer.echo(f"{name} is here already, in {found.path} (--overwrite fetches it again)")


def _build(
    source: str, output: Path, network: SourceOptions, *, overwrite: bool, strict: bool, quiet: bool
) -> None:
    from depthrt_export.build.build import build
    from depthrt_export.console import Phases
    from depthrt_export.options import ExportOptions
    from depthrt_export.report.export_report import print_summary

    options = ExportOptions(overwrite=overwrite, strict=strict)
    result = build(source, output, network, options, Phases(quiet=quiet))
    if not quiet:
        print_summary(result)

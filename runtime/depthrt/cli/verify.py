"""`depthrt verify`: whether a model file's depth is right on this machine."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def verify(
    model: Annotated[str, typer.Argument(help="A depthrt .onnx file or built-in name.")],
    provider: Annotated[
        str, typer.Option(help="Run it on this provider; `all`: on each, a line each.")
    ] = "auto",
    threads: Annotated[int | None, typer.Option(help="Threads inside one operator.", min=1)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Run the file's golden frames here and compare their depth with the depth that was proven.

    Exits with 3 if depth is further from it than the file allows, with 2 if the file has no golden
    frames.
    """
    from depthrt.jobs.verify import verify as replay
    from depthrt.model.catalogue.registry import find_model

    report = replay(find_model(model), provider=provider, threads=threads)
    if as_json:
        typer.echo(json.dumps(report.as_dict()))
    else:
        for line in report.lines():
            typer.echo(line)
    if report.exit_code:
        raise typer.Exit(report.exit_code)

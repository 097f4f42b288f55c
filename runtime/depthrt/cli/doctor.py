"""`depthrt doctor`: what works on this machine."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show versions, providers that really work, clashing wheels, codecs and cameras.

    Exits with 1 if something is broken, with 5 if no provider works.
    """
    from depthrt.jobs.doctor.report import examine

    report = examine()
    if as_json:
        typer.echo(json.dumps(report.as_dict()))
    else:
        for line in report.lines():
            typer.echo(line)
    if report.exit_code:
        raise typer.Exit(report.exit_code)

"""`depthrt calibrate`: choose the frames that set an int8 network's ranges."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(add_completion=False)


@app.command()
def calibrate(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Videos, folders, globs, images, camera numbers, rtsp:// or http:// URLs, 'demo'.",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the frames.")],
    count: Annotated[int, typer.Option(help="Frames to choose, at most.")] = 64,
    limit: Annotated[int, typer.Option(help="Frames to consider, of all sources together.")] = 2000,
    every: Annotated[
        int | None, typer.Option(help="Consider every n-th frame; default: spread evenly.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier choice.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Choose few, diverse frames for `depthrt export --frames`, with a contact sheet.

    Every scene gives one frame, then the most different frames are added. Black frames, blank
    frames and near-duplicates are left out. The same sources always give the same frames.
    """
    from depthrt_calibration.collect import CollectOptions, collect
    from depthrt_calibration.frame_folder import SHEET

    options = CollectOptions(count, limit, every, overwrite)
    with _progress() as progress:
        index = collect(sources, output, options, progress)
    for source, lost in index["losses"].items():
        typer.echo(f"depthrt: {source}: {lost}", err=True)
    if as_json:
        typer.echo(json.dumps({"output": str(output), "sheet": str(output / SHEET), **index}))
        return
    typer.echo(line(index))
    typer.echo(f"{output} | contact sheet: {output / SHEET}")


def line(index: dict[str, Any]) -> str:
    """The number of chosen and left out frames, in one line."""
    out, scenes = index["left_out"], index["scenes"]
    return (
        f"{len(index['frames'])} frames of {scenes} {'scene' if scenes == 1 else 'scenes'}, from "
        f"{index['considered']} looked at | left out: {out['black']} black, "
        f"{out['blank']} of one colour, {out['near_duplicates']} near-duplicates, "
        f"{out['surplus']} surplus"
    )


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show the progress on standard error, only on a terminal."""
    if not sys.stderr.isatty():
        yield lambda considered, kept: None
        return
    from rich.console import Console

    with Console(stderr=True).status("reading frames") as status:
        yield lambda considered, kept: status.update(f"{considered} looked at, {kept} candidates")

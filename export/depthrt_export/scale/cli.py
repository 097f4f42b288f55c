"""``depthrt scale``: the command line of metres with a tape."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from depthrt.errors import UsageError
from depthrt.system.installation import install_command

if TYPE_CHECKING:
    from depthrt_export.scale.points import Point
    from depthrt_export.scale.scale import Pictures, Scaled

app = typer.Typer(add_completion=False)

_MOST_SHOWN = 5  # of the points that are left out


class WithShift(str, Enum):
    """Whether a shift is fitted beside the scale."""

    auto = "auto"
    yes = "yes"
    no = "no"


@app.command()
def scale(
    model: Annotated[str, typer.Argument(help="A depthrt .onnx file or built-in name.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .onnx file to make.")],
    images: Annotated[
        list[Path] | None,
        typer.Argument(metavar="IMAGE...", help="Pictures that distances are known in."),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(
            help="Distance of what is at pixel X,Y of the one picture; repeat it for each point. "
            "X goes right and Y down, both from 0, in the picture at its own size.",
            metavar="X,Y=METRES",
        ),
    ] = None,
    points: Annotated[
        Path | None,
        typer.Option(
            help="The same as .csv with the columns x,y,metres and, of several pictures, image: "
            "one of IMAGE..., else a file beside the .csv.",
            metavar="FILE",
        ),
    ] = None,
    lidar: Annotated[
        list[Path] | None,
        typer.Option(
            help="Depth image of a picture, empty (0) where nothing is known: PNG, TIFF, PFM, "
            ".npy; one for each IMAGE, in their order.",
            metavar="FILE",
        ),
    ] = None,
    lidar_unit: Annotated[
        float, typer.Option(help="Metres of one unit of --lidar.", metavar="METRES")
    ] = 0.001,
    shift: Annotated[
        WithShift,
        typer.Option(help="Fit a shift, too: auto does where a point left out is then met better."),
    ] = WithShift.auto,
    farthest: Annotated[
        float | None,
        typer.Option(
            help="Depth ends here. Default: ten times the farthest point.", metavar="METRES"
        ),
    ] = None,
    max_error: Annotated[
        float, typer.Option(help="AbsRel of a point left out that is allowed.", min=0.0)
    ] = 0.5,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that exists.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Turn a model's depth into metres by a few measured distances, written into the file.

    Scale and shift are fitted robustly; a point left out says how far off they are. Measure about
    ten points from near to far, better in three or more pictures:
    `depthrt scale depthrt-s photo.jpg --at 0,280=4.5 --at 320,240=13.4 --at 0,80=15.5 -o m.onnx`.
    """
    _require_onnx()
    from depthrt.model.depth_model import DepthModel
    from depthrt_export.scale.choose_line import Wish
    from depthrt_export.scale.scale import Pictures, scale_model

    _check(farthest, lidar_unit, max_error)
    pictures = list(images or [])
    _check_output(output, model, [*pictures, *([points] if points else []), *(lidar or [])],
                  overwrite=overwrite)  # fmt: skip
    loaded = DepthModel.load(model, provider="cpu")
    seen = Pictures(loaded)
    given = _points(pictures, at or [], points, lidar or [], lidar_unit, seen)
    spec = loaded.spec
    wish = Wish(spec.kind, spec.unit == "m", shift.value, farthest, max_error)
    result = scale_model(loaded, given, seen, output, wish, overwrite=overwrite)
    if as_json:
        typer.echo(json.dumps(result.to_dict()))
    else:
        for line in lines(result):
            typer.echo(line)


def lines(result: Scaled) -> list[str]:
    """The lines that are printed for a scaled file."""
    about = result.spec.provenance["metres"]
    metres = [point.metres for point in result.points]
    pictures = len(about["pictures"])
    low, high = result.spec.valid_range or (0.0, 0.0)
    odd = result.outliers()
    more = len(odd) - _MOST_SHOWN
    return [
        f"{about['formula']}",
        f"{len(metres)} points at {min(metres):.3g} to {max(metres):.3g} m in {pictures} "
        f"{'picture' if pictures == 1 else 'pictures'}",
        result.fitted.error.line(),
        *(f"left out: {sentence}" for sentence in odd[:_MOST_SHOWN]),
        *([f"left out: {more} more points (--json lists them)"] if more > 0 else []),
        *result.notes,
        f"{result.output}: depth in m, kept within {low:.3g} to {high:.3g}",
    ]


def _points(
    images: Sequence[Path],
    at: Sequence[str],
    table: Path | None,
    maps: Sequence[Path],
    unit_m: float,
    seen: Pictures,
) -> list[Point]:
    """All points that were given, in the order of their options."""
    from depthrt_export.scale.points import parse_at, read_lidar, read_points

    if at and len(images) != 1:
        raise UsageError(
            f"--at is a pixel of one picture, and {len(images)} are named: give points of several "
            "pictures by --points FILE with a column image"
        )
    if maps and len(maps) != len(images):
        raise UsageError(
            f"{len(maps)} --lidar for {len(images)} pictures: give one for each, in their order"
        )
    found = [parse_at(text, images[0]) for text in at]
    if table is not None:
        found += read_points(table, images)
    for depth_map, image in zip(maps, images, strict=False):
        found += read_lidar(depth_map, image, unit_m, seen.size)
    if not found:
        raise UsageError("no distance is given: say --at X,Y=METRES, --points or --lidar")
    return found


def _check(farthest: float | None, unit_m: float, max_error: float) -> None:
    for option, value in (("--farthest", farthest), ("--lidar-unit", unit_m)):
        if value is not None and not 0 < value < float("inf"):
            raise UsageError(f"{option} {value:g} is not a number of metres above 0")
    if math.isnan(max_error):
        raise UsageError("--max-error nan is no share")


def _check_output(output: Path, model: str, read: Sequence[Path], *, overwrite: bool) -> None:
    from depthrt.model.catalogue.registry import find_model
    from depthrt.sinks.base import check_target

    if output.suffix != ".onnx":
        raise UsageError(f"{output} does not end in .onnx")
    check_target(output, overwrite=overwrite, sources=[find_model(model), *read])


def _require_onnx() -> None:
    if importlib.util.find_spec("onnx") is None:
        raise UsageError(f"onnx, which scale needs, is not installed: {install_command('onnx')}")

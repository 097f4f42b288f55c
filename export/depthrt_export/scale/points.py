"""Measured distances: a pixel of a picture, and how many metres away what it shows is.

Pixels are those of the picture as a viewer shows it (turned as its EXIF entry says): x to the
right, y down, both from 0.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from depthrt.errors import SourceError, UsageError
from depthrt_benchmarks.evaluation.datasets.formats.files import clean, read_values

MOST_OF_A_MAP = 2000
"""Points taken of one LiDAR picture: more say nothing new, as neighbours are off together."""
_COLUMNS = ("x", "y", "metres")
_ASPECT_TOLERANCE = 0.02
_Size = Callable[[Path], tuple[int, int]]


@dataclass(frozen=True)
class Point:
    """A measured distance in metres at pixel (x, y) of a picture."""

    image: Path
    x: float
    y: float
    metres: float

    @property
    def place(self) -> str:
        """The pixel and its picture in a few words."""
        return f"{self.image.name} ({self.x:g}, {self.y:g})"


def parse_at(text: str, image: Path) -> Point:
    """``640,410=2.35``: the pixel (640, 410) shows something 2.35 m away.

    Raises:
        UsageError: it is something else.
    """
    pixel, _, metres = text.partition("=")
    try:
        x, y = (float(number) for number in pixel.split(","))
        return _checked(Point(image, x, y, float(metres)), f"--at {text}")
    except ValueError as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(
            f"--at {text} is not X,Y=METRES, such as 640,410=2.35: x to the right and y down from 0"
        ) from error


def read_points(path: Path, images: Sequence[Path]) -> list[Point]:
    """Points of a CSV file with the columns x, y, metres and, of several pictures, image.

    Args:
        path: the file; its first line names the columns, in any order, others are ignored.
        images: pictures that were named beside it. A name in the column ``image`` is one of them,
            else a file beside the CSV file.

    Raises:
        SourceError: it cannot be read, lacks a column, or holds no point.
        UsageError: a point that is none, or no picture to go with it.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            names = [name.strip().lower() for name in reader.fieldnames or []]
            reader.fieldnames = names
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path} cannot be read as CSV ({error})") from error
    missing = [name for name in _COLUMNS if name not in names]
    if missing:
        raise SourceError(
            f"{path} has no column {' or '.join(missing)}: its first line names the columns, as in "
            "image,x,y,metres"
        )
    if not rows:
        raise SourceError(f"{path} holds no point")
    if "image" not in names and len(images) != 1:
        raise UsageError(
            f"{path} has no column image: name the one picture that its points are of, or add it"
        )
    return [
        _row_point(row, f"{path.name}, line {line}", _picture(row, path, images))
        for line, row in rows
    ]


def _picture(row: dict[str, str], path: Path, images: Sequence[Path]) -> Path:
    if "image" not in row:
        return images[0]
    name = (row["image"] or "").strip()
    if not name:
        raise UsageError(f"{path} has a line without the name of an image")
    for image in images:
        if name in (str(image), image.name):
            return image
    return path.parent / name


def _row_point(row: dict[str, str], where: str, image: Path) -> Point:
    numbers = []
    for column in _COLUMNS:
        try:
            numbers.append(float(row[column] or ""))
        except (TypeError, ValueError) as error:
            raise UsageError(f"{where}: {column} is {row[column]!r}, which is no number") from error
    return _checked(Point(image, *numbers), where)


def _checked(point: Point, where: str) -> Point:
    if not (math.isfinite(point.metres) and point.metres > 0):
        raise UsageError(f"{where}: {point.metres:g} is no distance in metres above 0")
    if not (math.isfinite(point.x) and math.isfinite(point.y)):
        raise UsageError(f"{where}: ({point.x:g}, {point.y:g}) is no pixel")
    return point


def read_lidar(path: Path, image: Path, unit_m: float, size_of: _Size) -> list[Point]:
    """Points of a depth image that is mostly empty, such as projected LiDAR.

    Args:
        path: PNG, TIFF, PFM or .npy of one channel, of the picture's shape and any size. What is
            not finite, not above 0, or the largest whole number of the file's type is no point.
        image: the picture that it belongs to.
        unit_m: metres of one unit of the file.
        size_of: height and width of a picture.

    Returns:
        at most :data:`MOST_OF_A_MAP` points, evenly taken in the order of reading.

    Raises:
        SourceError: it cannot be read, has another shape than the picture, or no point.
    """
    values = read_values(path)
    whole = np.issubdtype(values.dtype, np.integer)
    metres = clean(values, unit_m, (float(np.iinfo(values.dtype).max),) if whole else ())
    (rows, columns), (height, width) = values.shape, size_of(image)
    if abs(width / height / (columns / rows) - 1) > _ASPECT_TOLERANCE:
        raise SourceError(
            f"{path} is {columns}x{rows}, of another shape than {image.name} ({width}x{height}): "
            "project the depth into the picture"
        )
    places = np.argwhere(metres > 0)
    if not len(places):
        raise SourceError(f"{path} holds no depth above 0")
    taken = np.unique(np.linspace(0, len(places) - 1, MOST_OF_A_MAP).round().astype(int))
    across, down = width / columns, height / rows
    return [
        Point(
            image,
            round((column + 0.5) * across - 0.5, 2),
            round((row + 0.5) * down - 0.5, 2),
            float(metres[row, column]),
        )
        for row, column in places[taken]
    ]

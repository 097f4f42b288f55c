"""Depth of points and of boxes of a picture, without enlarging the whole map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.depth import Depth
from depthrt_serving.http.problems import ProblemError

_MOST = 1000  # points and boxes of a request
_GRID = 256  # of a larger box so many columns and rows are looked at, spread evenly


@dataclass(frozen=True)
class Box:
    """Part of a picture, in its pixels; the left top corner is x, y."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Places:
    """What of a picture is measured."""

    points: tuple[tuple[int, int], ...] = ()
    boxes: tuple[Box, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.points or self.boxes)


def read_places(at: Sequence[str], box: Sequence[str]) -> Places:
    """Points ``x,y`` and boxes ``x,y,width,height``.

    Raises:
        ProblemError: one that is neither, or too many.
    """
    if len(at) + len(box) > _MOST:
        raise ProblemError(400, f"more than {_MOST} points and boxes")
    points = tuple(_whole_numbers("at", text, "x,y") for text in at)
    boxes = tuple(Box(*_whole_numbers("box", text, "x,y,width,height")) for text in box)
    if any(not (each.width and each.height) for each in boxes):
        raise ProblemError(400, "a box has no width or no height")
    return Places(tuple((x, y) for x, y in points), boxes)


def measure(depth: Depth, places: Places) -> dict[str, Any]:
    """The depth of points and boxes, as a JSON object.

    ``depth`` is in the map's unit; of a box it is the median. Where the unit is metres,
    ``distance_m`` is how far that is. None: nothing there is valid.

    Raises:
        ProblemError: a point or box is not in the picture.
    """
    found: dict[str, Any] = {}
    if places.points:
        found["at"] = [_of_point(depth, x, y) for x, y in places.points]
    if places.boxes:
        found["boxes"] = [_of_box(depth, each) for each in places.boxes]
    return found


def distance_m(depth: Depth, value: float) -> float | None:
    """The distance of a value in metres; None where the model knows none."""
    if depth.unit != "m" or not math.isfinite(value) or value <= 0:
        return None
    return 1 / value if depth.kind == "inverse_depth" else value


def _of_point(depth: Depth, x: int, y: int) -> dict[str, Any]:
    height, width = depth.image_size
    if x >= width or y >= height:
        raise ProblemError(422, f"at={x},{y} is outside the picture of {width}x{height}")
    value = float(sampled(depth, np.array([x]), np.array([y]))[0, 0])
    return {"x": x, "y": y, **_value(depth, value)}


def _of_box(depth: Depth, box: Box) -> dict[str, Any]:
    height, width = depth.image_size
    if box.x + box.width > width or box.y + box.height > height:
        said = f"box={box.x},{box.y},{box.width},{box.height}"
        raise ProblemError(422, f"{said} is not within the picture of {width}x{height}")
    values = sampled(depth, _spread(box.x, box.width), _spread(box.y, box.height))
    known = values[np.isfinite(values)]
    middle = float(np.median(known)) if known.size else math.nan
    place = {"x": box.x, "y": box.y, "width": box.width, "height": box.height}
    return {**place, **_value(depth, middle)}


def _value(depth: Depth, value: float) -> dict[str, float | None]:
    found = {"depth": value if math.isfinite(value) else None}
    return {**found, "distance_m": distance_m(depth, value)} if depth.unit == "m" else found


def sampled(
    depth: Depth, columns: NDArray[np.int64], rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Values at pixels of the picture, bilinear as ``Depth.at_image_size``; NaN where not valid.

    Args:
        depth: the map.
        columns: x of the pixels, N.
        rows: y of the pixels, M.

    Returns:
        float64 M,N.
    """
    height, width = depth.image_size
    top, bottom, down = _between(rows, height, depth.values.shape[0])
    left, right, across = _between(columns, width, depth.values.shape[1])
    across, values = across[None, :], depth.values_or_nan
    above = values[np.ix_(top, left)] * (1 - across) + values[np.ix_(top, right)] * across
    below = values[np.ix_(bottom, left)] * (1 - across) + values[np.ix_(bottom, right)] * across
    return np.asarray(above * (1 - down[:, None]) + below * down[:, None], np.float64)


def _between(
    places: NDArray[np.int64], length: int, cells: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """The cells on both sides of a pixel's centre, and how far it is from the first, 0 to 1."""
    centre = np.clip((places + 0.5) * (cells / length) - 0.5, 0, cells - 1)
    first = np.floor(centre).astype(np.int64)
    second = first + (centre > first)  # not one that counts for nothing: it may be NaN
    return first, second, centre - first


def _spread(start: int, length: int) -> NDArray[np.int64]:
    count = min(length, _GRID)
    return np.asarray(start + np.linspace(0, length - 1, count).round(), np.int64)


def _whole_numbers(name: str, text: str, form: str) -> tuple[int, ...]:
    numbers = text.split(",")
    wanted = form.count(",") + 1
    if len(numbers) != wanted or not all(n.isdecimal() and len(n) < 8 for n in numbers):
        raise ProblemError(400, f"{name}={text[:40]} is not {form} in whole pixels")
    return tuple(map(int, numbers))

"""Which output of an ONNX file is the depth map, and how its axes lie."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import ModelError, UsageError

Layout = Literal["N,H,W", "N,1,H,W", "N,H,W,1", "H,W", "H,W,1"]
Outputs = Mapping[str, NDArray[np.generic]]

_LAYOUTS: tuple[Layout, ...] = ("N,H,W", "N,1,H,W", "N,H,W,1", "H,W", "H,W,1")
_MAX_ASPECT_DRIFT = 0.05  # an output of another size is the same picture if its aspect is
_OF_DEPTH = re.compile(r"depth|disp", re.IGNORECASE)
_SHOWN = 6


@dataclass(frozen=True)
class DepthOutput:
    """The depth map: the name of its output, its axes, and its height and width for the input's.

    ``others``: the outputs that are not used.
    """

    name: str
    layout: Layout
    size: tuple[int, int]
    others: tuple[str, ...] = ()


def find_depth(outputs: Outputs, size: tuple[int, int], name: str, wanted: str) -> DepthOutput:
    """The depth map among the outputs for ``size``, one picture or a fixed batch of some.

    Args:
        outputs: what the file gives, by name.
        size: height and width of the picture.
        name: the file, for messages.
        wanted: the output that the user named; empty: the only map is taken, the only one whose
            name speaks of depth or disparity, or the largest of maps that all differ in size.

    Raises:
        UsageError: several maps, or no output of the name that is wanted.
        ModelError: no output is a depth map of the picture.
    """
    if wanted and wanted not in outputs:
        raise UsageError(f"{name} gives no {wanted!r}: {_listed(outputs)}")
    looked_at = {wanted: outputs[wanted]} if wanted else dict(outputs)
    found = {
        key: layout
        for key, array in looked_at.items()
        if (layout := _layout(array, size)) is not None
    }
    if not found:
        raise ModelError(
            f"{name} gives no depth map of the picture ({_listed(looked_at)} for a picture of "
            f"{size[0]}x{size[1]}){_guess(looked_at)}"
        )
    chosen = _chosen(found, outputs)
    if chosen is None:
        raise UsageError(
            f"{name} gives {len(found)} maps of the picture: say which is the depth by "
            f"--depth-output NAME, one of {', '.join(found)}"
        )
    others = tuple(key for key in outputs if key != chosen)
    return DepthOutput(chosen, found[chosen], sides(outputs[chosen], found[chosen]), others)


def maps(array: NDArray[np.generic], layout: Layout) -> NDArray[np.float32]:
    """An output of this layout as N,H,W."""
    axis = {"N,1,H,W": 1, "N,H,W,1": 3, "H,W,1": 2}.get(layout)
    if axis is not None:
        array = np.squeeze(array, axis)
    return np.asarray(array if layout.startswith("N") else array[None], np.float32)


def sides(array: NDArray[np.generic], layout: Layout) -> tuple[int, int]:
    """Height and width of an output of this layout."""
    shape = array.shape[-3:-1] if layout.endswith("W,1") else array.shape[-2:]
    return int(shape[0]), int(shape[1])


def _layout(array: NDArray[np.generic], size: tuple[int, int]) -> Layout | None:
    if array.dtype.kind != "f":
        return None
    for layout in _LAYOUTS:
        if len(layout.split(",")) != array.ndim:
            continue
        if layout == "N,1,H,W" and array.shape[1] != 1:
            continue
        if layout.endswith("W,1") and array.shape[-1] != 1:
            continue
        height, width = sides(array, layout)
        if min(height, width) > 1 and _same_aspect((height, width), size):
            return layout
    return None


def _same_aspect(one: tuple[int, int], other: tuple[int, int]) -> bool:
    drift = abs((one[0] / one[1]) / (other[0] / other[1]) - 1)
    # A side rounded up or down by a pixel, as a stride does it, is the same picture, too.
    rounded = abs(one[0] * other[1] - one[1] * other[0]) < 2 * max(other)
    return drift <= _MAX_ASPECT_DRIFT or rounded


def _chosen(layouts: Mapping[str, Layout], outputs: Outputs) -> str | None:
    """Which map is the depth (see :func:`find_depth`); None where that is not clear."""
    if len(layouts) == 1:
        return next(iter(layouts))
    named = [key for key in layouts if _OF_DEPTH.search(key)]
    if len(named) == 1:
        return named[0]
    areas = {key: math.prod(sides(outputs[key], layout)) for key, layout in layouts.items()}
    by_area = sorted(areas, key=lambda key: areas[key], reverse=True)
    return by_area[0] if len(set(areas.values())) == len(areas) else None


def _guess(outputs: Outputs) -> str:
    """What such outputs mostly are."""
    arrays = list(outputs.values())
    last = [array.shape for array in arrays if array.ndim]
    if any(len(shape) == 4 and shape[1] > 1 and min(shape[2:]) > 4 for shape in last):
        return ": a depth map has one channel, several are classes or flow"
    if last and all(len(shape) <= 2 and (shape[-1] == 1 or shape[0] == 1) for shape in last):
        return ": numbers for the whole picture, as of classes"
    if any(len(shape) in (2, 3) for shape in last):
        return ": a list, as of boxes or points"
    return ""


def _listed(outputs: Outputs) -> str:
    shown = [
        f"{key} {array.dtype} {','.join(map(str, array.shape))}"
        for key, array in list(outputs.items())[:_SHOWN]
    ]
    more = [] if len(outputs) <= _SHOWN else [f"and {len(outputs) - _SHOWN} more"]
    return "it gives " + ", ".join([*shown, *more])

"""A few numbers of a picture and of its depth, whose distributions say whether something changed.

All are computed from a picture as the network sees it and from its depth map, at a small size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.depth import Depth
from depthrt.temporal.display_range import percentiles

Pixels = NDArray[np.uint8]
Map = NDArray[np.float32]
_Plane = TypeVar("_Plane", Pixels, Map)

_LARGEST_SIDE = 256  # pictures and maps are made this small, where they are larger
_COLOUR_STEP, _CELLS = 4, 8  # every fourth pixel tells colours; cells of 8 x 8 pixels tell texture
_FLAT_LEVELS = 2.0  # mean |Laplacian| of a cell without texture, in grey levels
_EDGE = 0.05  # of the spread, between neighbours: an edge
_UNCHANGED = 3  # grey levels by which a pixel that did not change may differ
_FEWEST_UNCHANGED = 0.05  # of the pixels; with fewer, flicker is not told from motion


@dataclass(frozen=True)
class Feature:
    """What one number of a frame means.

    - ``text``: for people, with its unit or range;
    - ``smallest``: the smallest difference that matters, in the same unit: distributions that
      differ by less have not drifted, however surely they differ.
    """

    text: str
    smallest: float


SMEAR, SHADOW_ERROR = "smear", "shadow_error"

FEATURES: Mapping[str, Feature] = {
    "brightness": Feature("mean brightness of the picture, 0 to 1", 0.03),
    "contrast": Feature("standard deviation of its brightness, 0 to 1", 0.02),
    "sharpness": Feature("log10 of the Laplacian's variance over the brightness's", 0.12),
    "saturation": Feature("mean of largest minus smallest channel, 0 to 1", 0.02),
    "red_minus_blue": Feature("mean of red minus blue, -1 to 1", 0.01),
    "top_minus_bottom": Feature("brightness of the upper half minus the lower, -1 to 1", 0.04),
    "flat_share": Feature("share of the picture without texture, 0 to 1", 0.04),
    SMEAR: Feature("log10 of the texture lost at the place that lost most, over a window", 0.1),
    "depth_level": Feature("median depth over its own spread", 0.1),
    "depth_spread": Feature("log10 of depth's 2-98 percentile spread", 0.04),
    "depth_quartile": Feature("lower quartile of nearness within the spread, 0 to 1", 0.04),
    "depth_median": Feature("median of nearness within the spread, 0 to 1", 0.04),
    "depth_bottom_nearer": Feature("nearness of the lower half minus the upper, -1 to 1", 0.05),
    "depth_edge_share": Feature("share of the map that is an edge, 0 to 1", 0.01),
    "depth_unusable": Feature("share of the map that is not finite or not valid, 0 to 1", 0.01),
    "flicker": Feature("change of depth where the picture did not change, of the spread", 0.004),
    "correction": Feature("what --stabilise changed, mean over the spread", 0.005),
    SHADOW_ERROR: Feature("difference to the depth of the --shadow model, over its spread", 0.0005),
}
"""All features, in the order of their columns."""

NAMES = tuple(FEATURES)


@dataclass(frozen=True, eq=False)
class Look:
    """What is kept of a frame to find flicker in the next one: both maps are of one small size."""

    grey: Pixels
    depth: Map


def picture_features(prepared: Pixels) -> dict[str, float]:
    """Features of a prepared picture (uint8 RGB 3,h,w)."""
    grey = small(prepared[1])  # green holds most of the brightness, and is there already
    edges = cv2.Laplacian(grey, cv2.CV_16S)
    deviation, edge_deviation = (float(cv2.meanStdDev(v)[1][0, 0]) for v in (grey, edges))
    step = max(1, min(prepared.shape[1:]) // 48, _COLOUR_STEP)
    few = prepared[:, ::step, ::step]
    red, green, blue = few
    chroma = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    luminance = few.mean(axis=(0, 2), dtype=np.float64)  # of each row
    half = max(1, len(luminance) // 2)
    cells = max(1, grey.shape[1] // _CELLS), max(1, grey.shape[0] // _CELLS)
    texture = cv2.resize(cv2.convertScaleAbs(edges), cells, interpolation=cv2.INTER_AREA)
    return {
        "brightness": float(luminance.mean()) / 255,
        "contrast": deviation / 255,
        "sharpness": math.log10((edge_deviation**2 + 1.0) / (deviation**2 + 1.0)),
        "saturation": float(chroma.mean()) / 255,
        "red_minus_blue": float(red.mean() - blue.mean()) / 255,
        "top_minus_bottom": float(luminance[:half].mean() - luminance[-half:].mean()) / 255,
        "flat_share": float((texture < _FLAT_LEVELS).mean()),
    }


def depth_features(depth: Depth) -> dict[str, float]:
    """Features of a depth map; where none of it is usable, ``depth_unusable`` alone (1)."""
    values = small(depth.values)
    usable = np.isfinite(values)
    if depth.valid is not None:
        usable &= small(depth.valid.astype(np.uint8)) > 0
    share = float(usable.mean())
    if not share:
        return {"depth_unusable": 1.0}
    known = values if share == 1 else values[usable]
    step = max(1, known.size // 3000)
    sample = np.ravel(known)[::step]
    low, quartile, median, third, high = percentiles(sample, 2, 25, 50, 75, 98)
    spread = max(high - low, 1e-9)
    nearer = depth.kind == "inverse_depth"
    near = quartile - low if nearer else high - third
    middle = median - low if nearer else high - median
    if share < 1:
        values = np.where(usable, values, np.float32(median))
    limit = _EDGE * spread
    across = np.abs(np.diff(values[::2], axis=1)) > limit
    down = np.abs(np.diff(values[:, ::2], axis=0)) > limit
    rows = np.clip((values[:, ::4] - low) / spread, 0, 1).mean(axis=1)
    half = max(1, len(rows) // 2)
    upper, lower = float(rows[:half].mean()), float(rows[-half:].mean())
    return {
        "depth_level": median / spread,
        "depth_spread": math.log10(spread),
        "depth_quartile": near / spread,
        "depth_median": middle / spread,
        "depth_bottom_nearer": (lower - upper) * (1 if nearer else -1),
        "depth_edge_share": float(across.mean() + down.mean()) / 2,
        "depth_unusable": 1 - share,
    }


def look_at(prepared: Pixels, values: Map) -> Look:
    """What :func:`flicker` compares: a picture (3,h,w) and its depth (rows,columns) made small."""
    rows, columns = values.shape
    grey = prepared[1, :rows, :columns]
    step = max(1, min(grey.shape) // 48)
    return Look(grey[::step, ::step].copy(), values[::step, ::step].copy())


def flicker(before: Look, after: Look) -> float | None:
    """Mean |change| of depth over its spread, where the picture did not change.

    None where sizes differ or too little of the picture stayed as it was.
    """
    if before.grey.shape != after.grey.shape:
        return None
    same = cv2.absdiff(before.grey, after.grey) < _UNCHANGED
    if same.mean() < _FEWEST_UNCHANGED:
        return None
    return _mean_change(before.depth[same], after.depth[same], after.depth)


def correction(raw: Map, steady: Map) -> float:
    """Mean |difference| of depth (h,w) before and after stabilising, over its spread."""
    step = max(1, min(raw.shape) // 48)
    few = raw[::step, ::step]
    return _mean_change(few, steady[::step, ::step], few) or 0.0


def small(plane: _Plane) -> _Plane:
    """A plane (h,w) whose longer side has at most 256 values; means of what it replaces."""
    height, width = plane.shape
    share = _LARGEST_SIDE / max(height, width)
    if share >= 1:
        return plane
    size = max(1, round(width * share)), max(1, round(height * share))
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), plane.dtype)


def _mean_change(a: Map, b: Map, whole: Map) -> float | None:
    known = whole[np.isfinite(whole)]
    change = np.abs(b - a)
    change = change[np.isfinite(change)]
    if not (known.size and change.size):
        return None
    low, high = percentiles(known, 2, 98)
    return float(change.mean()) / max(high - low, 1e-9)

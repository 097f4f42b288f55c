"""The reference that drift is judged against: the features of frames where all was well.

It is one JSON object: an entry ``depthrt_reference`` in a model file's metadata, or a file of its
own. For each feature it holds edges of bins, and a letter for each frame: the bin of its value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import ModelError
from depthrt.files.json_file import JsonObject, parse_json
from depthrt.monitor.bins import NO_VALUE, Bins
from depthrt.monitor.cells import UsualCells
from depthrt.monitor.features import FEATURES

REFERENCE_KEY = "depthrt_reference"
REFERENCE_VERSION = 1
MOST_FRAMES = 4096
MOST_CHARACTERS = 200_000
FEWEST_FRAMES = 8
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MISSING = "-"


@dataclass(frozen=True, eq=False)
class Reference:
    """What the features were where all was well.

    - ``bins``: of each feature that enough frames have;
    - ``codes``: the bin of each frame (N), by feature;
    - ``in_order``: the frames follow one another, one each ``sample_s`` seconds; else each is a
      scene of its own, and a window is compared with what single frames may look like;
    - ``source``: what the frames were, for people;
    - ``model``: SHA-256 of the model that gave the depth; empty inside a model file;
    - ``cells``: what is usual of texture by place; None where frames do not follow one another.
    """

    bins: Mapping[str, Bins]
    codes: Mapping[str, NDArray[np.int8]]
    in_order: bool
    sample_s: float
    source: str
    model: str = ""
    cells: UsualCells | None = None

    @property
    def frames(self) -> int:
        """How many frames it was made of."""
        return max((len(each) for each in self.codes.values()), default=0)

    def to_json(self) -> str:
        """The entry."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def to_dict(self) -> dict[str, Any]:
        """The entry as an object."""
        features = {
            name: {
                "edges": [float(f"{edge:.6g}") for edge in bins.edges],
                "inner": [bins.first, bins.last],
                "width": float(f"{bins.width:.6g}"),
                "bins": "".join(_letter(code) for code in self.codes[name]),
            }
            for name, bins in self.bins.items()
        }
        return {
            "version": REFERENCE_VERSION,
            "frames": self.frames,
            "in_order": self.in_order,
            "sample_s": self.sample_s,
            "source": self.source,
            "model": self.model,
            "features": features,
            **({} if self.cells is None else {"cells": self.cells.to_dict()}),
        }


def make_reference(
    rows: Sequence[Mapping[str, float]],
    *,
    source: str,
    sample_s: float = 0.0,
    model: str = "",
) -> Reference:
    """The reference of frames' features.

    Args:
        rows: the features of each frame, by name; some may be missing.
        source: what the frames were.
        sample_s: the seconds between frames that follow one another; 0: each is a scene of its own.
        model: SHA-256 of the model that gave the depth.

    Raises:
        ModelError: fewer than 8 frames.
    """
    if len(rows) < FEWEST_FRAMES:
        raise ModelError(f"a reference needs at least {FEWEST_FRAMES} frames, not {len(rows)}")
    bins, codes = {}, {}
    for name, feature in FEATURES.items():
        values = np.array([row.get(name, np.nan) for row in rows], np.float64)
        known = values[~np.isnan(values)]
        if 2 * len(known) >= len(values):
            bins[name] = Bins.of(known, feature.smallest)
            codes[name] = bins[name].codes(values)
    return Reference(bins, codes, sample_s > 0, sample_s, source, model)


def read_reference(text: str, where: str = "its reference of drift") -> Reference:
    """The reference that a JSON text holds.

    Args:
        text: of :meth:`Reference.to_json`.
        where: what the text is, for messages.

    Raises:
        ModelError: it is broken, or of a later version.
    """
    if len(text) > MOST_CHARACTERS:
        raise ModelError(f"{where} is broken ({len(text)} characters are too many)")
    try:
        content = parse_json(text)
    except ValueError as error:
        raise ModelError(f"{where} is broken ({error})") from error
    return parse_reference(content, where)


def parse_reference(content: object, where: str) -> Reference:
    """As :func:`read_reference`, of what the JSON holds."""
    if not isinstance(content, dict):
        raise ModelError(f"{where} is broken (no JSON object)")
    version = content.get("version")
    if type(version) is int and version > REFERENCE_VERSION:
        raise ModelError(
            f"{where} is of version {version}, but this depthrt reads up to {REFERENCE_VERSION}: "
            "upgrade depthrt"
        )
    return _parse(JsonObject(content, where, ModelError))


def reference_in(metadata: Mapping[str, str]) -> Reference | None:
    """The reference in a model file's metadata; None if it has none.

    Raises:
        ModelError: it is broken, or of a later version.
    """
    text = metadata.get(REFERENCE_KEY)
    return None if text is None else read_reference(text)


def _parse(content: JsonObject) -> Reference:
    frames = content.whole("frames", least=FEWEST_FRAMES)
    if frames > MOST_FRAMES:
        raise content.wrong("frames", f"{FEWEST_FRAMES} to {MOST_FRAMES}")
    in_order = content.one_of("in_order", (True, False))  # type: ignore[arg-type]
    sample_s = content.number("sample_s", above=0 if in_order else -1)
    bins, codes = {}, {}
    features = content.object("features")
    for name in features.content:
        if name not in FEATURES:  # of a later version's: left alone
            continue
        bins[name] = _bins(features.object(name), FEATURES[name].smallest)
        codes[name] = _codes(features.object(name), frames, bins[name].count)
    if not bins:
        raise content.wrong("features", "at least one that is known")
    source, model = content.text("source"), content.text("model")
    cells = UsualCells.parse(content.object("cells")) if "cells" in content.content else None
    return Reference(bins, codes, bool(in_order), sample_s, source, model, cells)


def _bins(content: JsonObject, smallest: float) -> Bins:
    edges = content.numbers("edges")
    inner: Any = content.value("inner")
    ascending = all(a < b for a, b in pairwise(edges))
    if not (ascending and 2 <= len(edges) < len(_LETTERS)):
        raise content.wrong("edges", f"2 to {len(_LETTERS) - 1} ascending numbers")
    whole = isinstance(inner, list) and len(inner) == 2 and all(type(i) is int for i in inner)
    if not (whole and 1 <= inner[0] <= inner[1] < len(edges)):
        raise content.wrong("inner", "the first and the last inner bin")
    return Bins(tuple(edges), inner[0], inner[1], smallest, content.number("width", above=0))


def _codes(content: JsonObject, frames: int, count: int) -> NDArray[np.int8]:
    text = content.text("bins")
    allowed = {*_LETTERS[:count], _MISSING}
    if len(text) != frames or not allowed.issuperset(text) or not text.strip(_MISSING):
        raise content.wrong("bins", f"{frames} letters of its bins")
    return np.array([_LETTERS.find(letter) for letter in text], np.int8)


def _letter(code: int) -> str:
    return _MISSING if code == NO_VALUE else _LETTERS[code]

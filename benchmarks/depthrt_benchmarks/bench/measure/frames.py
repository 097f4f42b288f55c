"""Inputs of a benchmark: real frames of the built-in clip."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import UsageError
from depthrt.model.catalogue.registry import DEMO_CLIP
from depthrt.model.depth_model import DepthModel
from depthrt.model.preprocess import prepare
from depthrt.sources.base import Selection
from depthrt.sources.open import open_source

Size = tuple[int, int]


def network_feed(model: DepthModel, batch: int, size: Size | None) -> NDArray[np.uint8]:
    """Prepared frames of the built-in clip, uint8 N,3,h,w; ``size`` None: the spec's.

    Raises:
        UsageError: a size or batch that the graph does not take.
    """
    given = model.spec.input
    h, w = size or (given.height, given.width)
    if (h, w) != (given.height, given.width) and not model.dynamic_size:
        raise UsageError(
            f"{model.path} takes {given.height}x{given.width} alone: leave out --sizes {h}x{w}, or "
            "export it with --dynamic size"
        )
    if h % given.multiple_of or w % given.multiple_of:
        raise UsageError(f"--sizes {h}x{w}: sides must be multiples of {given.multiple_of}")
    if model.fixed_batch not in (None, batch):
        raise UsageError(
            f"{model.path} takes batches of {model.fixed_batch} alone: leave out --batches {batch} "
            "or export it with --dynamic batch"
        )
    spec = replace(given, height=h, width=w, resize="stretch")
    return np.stack([prepare(image, spec) for image in pictures(batch)])


def picture_feed() -> NDArray[np.uint8]:
    """One frame of the built-in clip at its own size, uint8 1,3,H,W."""
    return np.asarray(pictures(1)[0].transpose(2, 0, 1)[None])


def pictures(count: int) -> list[NDArray[np.uint8]]:
    """RGB frames of the built-in clip (H,W,3); a clip that is too short is repeated."""
    source = open_source(DEMO_CLIP, Selection(stride=4, max_frames=count))
    with closing(source.frames()) as frames:  # type: ignore[type-var]  # sources give generators
        found = [frame.image for frame in frames]
    return [found[i % len(found)] for i in range(count)]


def parse_size(text: str) -> Size:
    """Height and width of "HxW".

    Raises:
        UsageError: anything else.
    """
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise UsageError(f"{text!r} is no size: give height x width, for instance 192x320")
    return int(sides[0]), int(sides[1])


def size_text(size: Sequence[int]) -> str:
    """Height and width as text, for instance ``192x320``."""
    return "x".join(map(str, size))

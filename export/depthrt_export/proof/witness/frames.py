"""The frames that the witness and a network are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from depthrt.model.catalogue.registry import DEMO_CLIP
from depthrt.spec import InputSpec
from depthrt_calibration.frames import Sample, sample_frames
from depthrt_export.proof.witness.rank_correlation import Map

Image: TypeAlias = NDArray[np.uint8]  # 3,h,w

SCENES = Path(__file__).with_name("scenes.mp4")
"""40 rooms, desks, corridors, streets and parks, drawn by the recipe in ``training``."""
MORE_SCENES = Path(__file__).with_name("more_scenes.mp4")
"""64 others, for where the first do not tell."""


def clip(count: int, spec: InputSpec) -> list[Sample]:
    """Frames of depthrt's clip, if it is installed."""
    return sample_frames(None, count, spec) if DEMO_CLIP.is_file() else []


def scenes(count: int, spec: InputSpec, path: Path) -> list[Sample]:
    """Frames of :data:`SCENES` or :data:`MORE_SCENES`."""
    return sample_frames(str(path), count, spec)


def in_turn(sources: Sequence[Sequence[Sample]]) -> list[Image]:
    """Frames of all sources in turn, each evenly spread from the start on."""
    apart = [[s.pixels for first in (0, 1) for s in source[first::2]] for source in sources]
    return [image for group in zip_longest(*apart) for image in group if image is not None]


def depth_of(run: Callable[[NDArray[np.uint8]], NDArray[np.float32]], pixels: Image) -> Map:
    """A network's depth h,w; all 0 where it fails."""
    try:
        return np.asarray(run(pixels[None])[0], np.float32)
    except Exception:  # a user's network may raise anything at numbers that it was not made for
        return np.zeros(pixels.shape[1:], np.float32)

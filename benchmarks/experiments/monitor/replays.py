"""Features of clips, computed once, and long streams that are put together from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from depthrt.model.depth_model import DepthModel
from depthrt.model.preprocess import prepare
from depthrt.monitor.cells import Cells, texture_by_cell
from depthrt.monitor.features import (
    depth_features,
    flicker,
    look_at,
    picture_features,
)
from depthrt.monitor.watch import SAMPLE_S
from depthrt.sources.open import open_source
from experiments.monitor.corruptions import Corruption, Picture

Row = Mapping[str, float]


class Sample(NamedTuple):
    """What is known of a frame: its features, and its texture by place."""

    row: Row
    cells: Cells


_WIDEST = 640  # pictures are corrupted at this width


@dataclass(frozen=True)
class Clip:
    """The features of each frame of a clip, its texture by place, and its frames a second."""

    name: str
    fps: float
    rows: Sequence[Row]
    cells: Sequence[Sequence[float]]

    def half(self, number: int) -> Clip:
        """The first (0) or second half (1)."""
        middle = len(self.rows) // 2
        part = slice(None, middle) if number == 0 else slice(middle, None)
        return Clip(self.name, self.fps, self.rows[part], self.cells[part])


def pictures(path: Path) -> tuple[float, list[Picture]]:
    """Frames a second and all frames (H,W,3), at most 640 wide."""
    source = open_source(str(path))
    found, times_s = [], []
    with closing(source.frames()) as frames:  # type: ignore[type-var]  # sources give generators
        for frame in frames:
            rgb = frame.image
            times_s.append(frame.time_s)
            height = round(rgb.shape[0] * _WIDEST / rgb.shape[1])
            small = cv2.resize(rgb, (_WIDEST, height), interpolation=cv2.INTER_AREA)
            found.append(np.asarray(small, np.uint8))
    seconds = times_s[-1] - times_s[0]
    return (len(found) - 1) / seconds, found


def clip_features(
    name: str, fps: float, frames: Sequence[Picture], model: DepthModel, change: Corruption
) -> Clip:
    """The features of each frame as the model sees it once it is changed."""
    rows: list[dict[str, float]] = []
    cells: list[list[float]] = []
    before = None
    for frame in frames:
        pixels = prepare(change(frame), model.spec.input)
        depth = model.depth(model.infer(pixels[None])[0], (frame.shape[0], frame.shape[1]))
        look = look_at(pixels, depth.values)
        found = None if before is None else flicker(before, look)
        if rows and found is not None:
            rows[-1]["flicker"] = found
        rows.append({**picture_features(pixels), **depth_features(depth)})
        cells.append([round(float(each), 3) for each in texture_by_cell(pixels)])
        before = look
    return Clip(name, fps, rows, cells)


def loop(clip: Clip, start: float = 0.0) -> Iterator[Sample]:
    """A sample each half second of a clip that is played for ever; ``start`` is 0 to 1."""
    place, cells = start * len(clip.rows), np.array(clip.cells, np.float32)
    while True:
        number = int(place) % len(clip.rows)
        yield Sample(clip.rows[number], cells[number])
        place = (place + clip.fps * SAMPLE_S) % len(clip.rows)


def playlist(clips: Sequence[Clip], random: np.random.Generator) -> Iterator[Sample]:
    """Parts of clips in random order, of 4 to 20 s each, for ever."""
    while True:
        clip = clips[int(random.integers(len(clips)))]
        stream = loop(clip, float(random.random()))
        for _ in range(int(random.integers(round(4 / SAMPLE_S), round(20 / SAMPLE_S)))):
            yield next(stream)

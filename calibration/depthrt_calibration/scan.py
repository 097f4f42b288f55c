"""Reads the usable frames of sources, one at a time, with features and scene numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from depthrt.frame import Frame
from depthrt.model.preprocess import prepare
from depthrt.sources.base import Selection, Source, SourceInfo
from depthrt.sources.display_name import shown_names
from depthrt.sources.open import is_camera, open_source
from depthrt.spec import InputSpec
from depthrt.temporal.display_range import SceneCuts
from depthrt_calibration.frames import indices
from depthrt_calibration.image_features import Feature, emptiness, feature

# Features and scene cuts are computed on this size; the stored frame keeps its own.
THUMBNAIL = InputSpec(108, 192, interpolation="area")
_LONG = 9000  # frames, 5 minutes at 30/s; longer videos are read in parts
_PARTS = 48
_LIVE_S = 60.0  # how long a camera or a live stream is read
_UNKNOWN_STRIDE = 10  # for sources of unknown length


@dataclass(frozen=True, eq=False)
class Seen:
    """A candidate frame.

    ``source``: the name of its source, without passwords; ``scene`` counts from 0 over all sources.
    """

    frame: Frame
    source: str
    scene: int
    feature: Feature


@dataclass
class Counts:
    """How many frames were considered, and how many were left out for which reason."""

    considered: int = 0
    black: int = 0
    blank: int = 0
    near_duplicates: int = 0
    surplus: int = 0
    losses: dict[str, str] = field(default_factory=dict)

    def reasons(self) -> str:
        """The reasons and their counts, in words."""
        parts = [
            f"{number} {what}"
            for number, what in (
                (self.black, "black"),
                (self.blank, "of one colour"),
                (self.near_duplicates, "near-duplicates"),
            )
            if number
        ]
        return ", ".join(parts)


def check_sources(sources: Sequence[str]) -> None:
    """Open every file and folder once, before any is read; cameras and streams can wait.

    Raises:
        SourceError: one does not exist or cannot be read as pictures.
        UsageError: one stands for several videos.
    """
    for source in sources:
        if not is_camera(source) and "://" not in source:
            open_source(source).close()


def scan(sources: Sequence[str], limit: int, every: int | None, counts: Counts) -> Iterator[Seen]:
    """Usable frames of all sources, in order.

    At most ``limit`` frames are considered in all, an equal share of each source, spread evenly
    over it. Videos of more than 9000 frames are read in 48 parts, a live source for a minute, so
    that time and memory are bounded. Scene cuts are detected between all decoded frames; a new
    part or a new source begins a new scene.

    Args:
        every: consider every n-th frame; None: spread over the source within the limit.
        counts: updated while frames are read.

    Raises:
        SourceError: a source does not exist or cannot be read as pictures.
        UsageError: several videos have one name.
    """
    if limit < len(sources):
        sources = [sources[number] for number in indices(len(sources), limit)]
    share = limit // len(sources)
    scene = -1
    for source, name in zip(sources, shown_names(sources), strict=True):
        opened = open_source(source)
        parts, left = spans(opened.info), share
        read: int | None = opened.info.frame_count if len(parts) == 1 else _LONG
        parts = [parts[number] for number in indices(len(parts), share)]
        stride = every or (_UNKNOWN_STRIDE if read is None else max(1, math.ceil(read / share)))
        for number, part in enumerate(parts):
            current = opened if part.is_whole else open_source(source, part)
            room = math.ceil(left / (len(parts) - number))  # at least 1; most frames of this part
            for seen in _part(current, name, scene + 1, stride, room, counts):
                scene = seen.scene
                left -= 1
                if isinstance(seen, Seen):
                    yield seen
            lost = current.losses.sentence()
            if lost:
                counts.losses[name] = lost


@dataclass(frozen=True)
class _Left:
    """A frame that was considered and left out."""

    scene: int


def spans(info: SourceInfo) -> list[Selection]:
    """The parts of a source to read: 48 parts of a long video, otherwise the whole."""
    total = info.frame_count or 0
    if info.path is None or info.rate is None or total <= _LONG:
        return [Selection()]
    duration_s = float(total / info.rate)
    return [
        Selection(start_s=round(duration_s * part / _PARTS, 3), max_frames=_LONG // _PARTS)
        for part in range(_PARTS)
    ]


def _part(
    opened: Source, source: str, scene: int, stride: int, room: int, counts: Counts
) -> Iterator[Seen | _Left]:
    cuts, taken = SceneCuts(), 0
    until_s = _LIVE_S if opened.info.live else math.inf
    with closing(opened.frames()) as frames:  # type: ignore[type-var]  # sources give generators
        for number, frame in enumerate(frames):
            if frame.exact_time_s >= until_s:
                return
            thumbnail = prepare(frame.pixels, THUMBNAIL)
            scene += cuts.update(thumbnail)
            if number % stride:
                continue
            taken += 1
            counts.considered += 1
            if _usable(thumbnail, counts):
                yield Seen(frame, source, scene, feature(thumbnail))
            else:
                yield _Left(scene)
            if taken == room:
                return


def _usable(thumbnail: NDArray[np.uint8], counts: Counts) -> bool:
    kind = emptiness(thumbnail)
    counts.black += kind == "black"
    counts.blank += kind == "blank"
    return not kind

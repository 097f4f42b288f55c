"""The way of a frame: source -> prepare -> infer -> result, each stage in a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from depthrt.buffered import buffered
from depthrt.depth import Depth
from depthrt.display import RangeTracker, SceneCuts
from depthrt.errors import InferenceError, UsageError
from depthrt.frame import Frame, RgbImage, image_size
from depthrt.model import DepthModel
from depthrt.prepare import prepare
from depthrt.sources import Selection, Source, open_source
from depthrt.sources.arrays import ArraysSource

QUEUE_FRAMES = 4  # between two stages: enough to smooth over uneven frames, little memory


@dataclass(frozen=True, eq=False)
class Result:
    """A frame with its depth.

    - ``display_range``: causal low and high value to colour it by, without flicker;
    - ``scene_cut``: whether a new scene begins with it.
    """

    frame: Frame
    depth: Depth
    display_range: tuple[float, float]
    scene_cut: bool


@dataclass
class Stats:
    """What a run has done so far; ``busy_s`` is the time each stage spent at work, in seconds."""

    frames: int = 0
    dropped: int = 0
    scene_cuts: int = 0
    busy_s: dict[str, float] = field(default_factory=dict)

    def add(self, stage: str, seconds: float) -> None:
        """Count time spent in a stage; each stage is counted by one thread only."""
        self.busy_s[stage] = self.busy_s.get(stage, 0.0) + seconds

    def drop(self) -> None:
        """Count a frame of a live source that came too early to be taken."""
        self.dropped += 1


SourceLike: TypeAlias = "str | Path | int | Source | Iterable[RgbImage]"
_Prepared: TypeAlias = tuple[Frame, NDArray[np.uint8]]


def stream(
    source: SourceLike,
    model: DepthModel | None = None,
    *,
    selection: Selection | None = None,
    batch: int = 1,
    stats: Stats | None = None,
) -> Generator[Result, None, None]:
    """Depth of every frame of a source, in order.

    >>> for result in stream("clip.mp4", DepthModel.load()):
    ...     result.frame.time_s, result.depth.values

    Decoding, preparing and inference run side by side over short queues. A file never drops a
    frame; a live source keeps the newest and counts the others in ``stats.dropped``. Closing the
    iterator, or leaving it to the garbage collector, ends every stage.

    Args:
        source: what :func:`depthrt.open_source` takes, a source, or uint8 RGB images (H,W,3).
        model: the model; None is the built-in one.
        selection: which frames; not for a source that is open already.
        batch: frames per inference; more than one pays with int8 models and on a GPU.
        stats: filled while the frames pass.

    Raises:
        DepthrtError: from opening the source at once; from any stage when its frame is due.
    """
    if batch < 1:
        raise UsageError(f"--batch {batch} is less than 1")
    opened = _opened(source, selection)
    return _results(opened, model or DepthModel.load(), batch, stats or Stats())


def _results(
    source: Source, model: DepthModel, batch: int, stats: Stats
) -> Generator[Result, None, None]:
    live = source.info.live
    size = 1 if live else max(QUEUE_FRAMES, 2 * batch)
    prepared = buffered(
        _prepare(source.frames(), model, stats),
        size,
        on_drop=stats.drop if live else None,
        name="prepare",
    )
    yield from buffered(_infer(prepared, model, 1 if live else batch, stats), size, name="infer")


def _prepare(
    frames: Iterator[Frame], model: DepthModel, stats: Stats
) -> Generator[_Prepared, None, None]:
    with closing(_as_generator(frames)) as open_frames:
        while True:
            start = time.perf_counter()
            frame = next(open_frames, None)
            decoded = time.perf_counter()
            stats.add("decode", decoded - start)
            if frame is None:
                return
            pixels = prepare(frame.image, model.spec.input)
            stats.add("prepare", time.perf_counter() - decoded)
            yield frame, pixels


def _infer(
    prepared: Generator[_Prepared, None, None], model: DepthModel, batch: int, stats: Stats
) -> Generator[Result, None, None]:
    cuts, tracker = SceneCuts(), RangeTracker()
    with closing(prepared):
        for group in batches(prepared, batch):
            start = time.perf_counter()
            try:
                maps = model.infer(np.stack([pixels for _, pixels in group]))
            except InferenceError as error:
                raise InferenceError(f"frame {group[0][0].index}: {error}") from error
            stats.add("infer", time.perf_counter() - start)
            for (frame, pixels), values in zip(group, maps, strict=True):
                depth = model.depth(values, image_size(frame.image))
                scene_cut = cuts.update(pixels)
                if scene_cut:
                    tracker.reset()
                    stats.scene_cuts += 1
                shown = tracker.update(depth.values, frame.time_s)
                stats.frames += 1
                yield Result(frame, depth, shown, scene_cut)


def batches(prepared: Iterable[_Prepared], size: int) -> Iterator[list[_Prepared]]:
    """Consecutive frames of one network size, at most ``size`` of them at a time."""
    group: list[_Prepared] = []
    for item in prepared:
        if group and item[1].shape != group[0][1].shape:
            yield group
            group = []
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _as_generator(frames: Iterator[Frame]) -> Generator[Frame, None, None]:
    if isinstance(frames, Generator):
        return frames
    return (frame for frame in frames)


def _opened(source: SourceLike, selection: Selection | None) -> Source:
    if isinstance(source, (str, Path, int)):
        return open_source(source, selection)
    if isinstance(source, Source):
        if selection is not None:
            raise UsageError("a source that is open already has its selection")
        return source
    return ArraysSource(source, selection or Selection())

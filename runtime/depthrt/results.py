"""What comes out of the pipeline: frames with their depth, and what was counted on the way."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from depthrt.depth import Depth
from depthrt.display import RangeTracker, SceneCuts
from depthrt.frame import Frame, image_size
from depthrt.latency import Latency
from depthrt.model import DepthModel


@dataclass(frozen=True, eq=False)
class Result:
    """A frame with its depth.

    - ``display_range``: causal low and high value to colour it by, without flicker;
    - ``scene_cut``: whether a new scene begins with it;
    - ``latency_s``: seconds from its capture until it was handed over; None for recordings.
    """

    frame: Frame
    depth: Depth
    display_range: tuple[float, float]
    scene_cut: bool
    latency_s: float | None = None


@dataclass
class Stats:
    """What was done so far with one source.

    - ``frames``: results made;
    - ``dropped``: frames of a live source for which there was no time;
    - ``late``: those among them that were older than the highest latency allowed;
    - ``busy_s``: the time each stage spent at work, in seconds;
    - ``latency``: from capture to the hand-over of the result, of live sources.
    """

    frames: int = 0
    dropped: int = 0
    late: int = 0
    scene_cuts: int = 0
    busy_s: dict[str, float] = field(default_factory=dict)
    latency: Latency = field(default_factory=Latency)

    def add(self, stage: str, seconds: float) -> None:
        """Count time spent in a stage; each stage is counted by one thread only."""
        self.busy_s[stage] = self.busy_s.get(stage, 0.0) + seconds

    def drop(self) -> None:
        """Count a frame of a live source for which there was no time."""
        self.dropped += 1

    def merge(self, other: Stats) -> None:
        """Add what another source counted."""
        self.frames += other.frames
        self.dropped += other.dropped
        self.late += other.late
        self.scene_cuts += other.scene_cuts
        for stage, seconds in list(other.busy_s.items()):
            self.add(stage, seconds)
        self.latency.merge(other.latency)


@dataclass
class Finisher:
    """Makes results of one stream's depth maps, in order; all that it remembers is of that stream.

    ``reset`` forgets it, as at a scene cut.
    """

    stats: Stats
    cuts: SceneCuts = field(default_factory=SceneCuts)
    tracker: RangeTracker = field(default_factory=RangeTracker)
    model: DepthModel | None = None

    def reset(self) -> None:
        """Forget the depth of the past."""
        self.tracker.reset()

    def _take_over(self, model: DepthModel) -> None:
        """Another network has another scale and size; colours must not jump for that."""
        if self.model is not None:
            self.cuts.reset()
            self.tracker.change_scale()
        self.model = model

    def finish(
        self,
        frame: Frame,
        pixels: NDArray[np.uint8],
        values: NDArray[np.float32],
        model: DepthModel,
    ) -> Result:
        """The result of a frame, prepared as ``pixels`` (3,h,w), with the network's ``values``."""
        if self.model is not model:
            self._take_over(model)
        depth = model.depth(values, image_size(frame.image))
        scene_cut = self.cuts.update(pixels)
        if scene_cut:
            self.reset()
            self.stats.scene_cuts += 1
        shown = self.tracker.update(depth.values, frame.time_s)
        self.stats.frames += 1
        return Result(frame, depth, shown, scene_cut)

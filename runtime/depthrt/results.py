"""What comes out of the pipeline: frames with their depth, and what was counted on the way."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from depthrt.depth import Depth
from depthrt.display import RangeTracker, SceneCuts
from depthrt.frame import Frame, image_size
from depthrt.latency import Latency
from depthrt.model import DepthModel
from depthrt.reuse import ReuseGate
from depthrt.stabilise import Stabiliser


@dataclass(frozen=True, eq=False)
class Result:
    """A frame with its depth.

    - ``display_range``: causal low and high value to colour it by, without flicker;
    - ``scene_cut``: whether a new scene begins with it;
    - ``latency_s``: seconds from its capture until it was handed over; None for recordings;
    - ``reused``: whether the picture had not changed, so that the depth is an earlier frame's.
    """

    frame: Frame
    depth: Depth
    display_range: tuple[float, float]
    scene_cut: bool
    latency_s: float | None = None
    reused: bool = False


@dataclass
class Stats:
    """What was done so far with one source.

    - ``frames``: results made;
    - ``written``: those of them that every output has;
    - ``dropped``: frames of a live source for which there was no time;
    - ``late``: those among them that were older than the highest latency allowed;
    - ``reused``: results whose depth was that of an earlier frame;
    - ``busy_s``: the time each stage spent at work, in seconds;
    - ``latency``: from capture to the hand-over of the result, of live sources.
    """

    frames: int = 0
    written: int = 0
    dropped: int = 0
    late: int = 0
    scene_cuts: int = 0
    reused: int = 0
    busy_s: dict[str, float] = field(default_factory=dict)
    latency: Latency = field(default_factory=Latency)

    def add(self, stage: str, seconds: float) -> None:
        """Count time spent in a stage; each stage is counted by one thread at a time."""
        self.busy_s[stage] = self.busy_s.get(stage, 0.0) + seconds

    def drop(self) -> None:
        """Count a frame of a live source for which there was no time."""
        self.dropped += 1

    def merge(self, other: Stats) -> None:
        """Add what another source counted."""
        self.frames += other.frames
        self.written += other.written
        self.dropped += other.dropped
        self.late += other.late
        self.scene_cuts += other.scene_cuts
        self.reused += other.reused
        for stage, seconds in list(other.busy_s.items()):
            self.add(stage, seconds)
        self.latency.merge(other.latency)


@dataclass
class Finisher:
    """Makes results of one stream's depth maps, in order; all that it remembers is of that stream.

    - ``stabilise``: take the flicker out of the depth;
    - ``gate``: tells which frames did not change; None: every frame is computed.

    ``reset`` forgets the past, as at a scene cut.
    """

    stats: Stats
    stabilise: bool = False
    gate: ReuseGate | None = None
    cuts: SceneCuts = field(default_factory=SceneCuts)
    tracker: RangeTracker = field(default_factory=RangeTracker)
    model: DepthModel | None = None
    _gated: DepthModel | None = None  # frames are told apart a whole group before they are finished
    _stabiliser: Stabiliser | None = None
    _depth: Depth | None = None

    def reset(self) -> None:
        """Forget the depth of the past."""
        self.tracker.reset()
        if self._stabiliser is not None:
            self._stabiliser.reset()

    def unchanged(self, frame: Frame, pixels: NDArray[np.uint8], model: DepthModel) -> bool:
        """Whether a frame can do without inference; to be asked in order, once for each frame."""
        if self.gate is None:
            return False
        if self._gated is not model:
            self.gate.reset()
            self._gated = model
        return self.gate.unchanged(pixels, frame.time_s)

    def finish(
        self,
        frame: Frame,
        pixels: NDArray[np.uint8],
        values: NDArray[np.float32] | None,
        model: DepthModel,
    ) -> Result:
        """The result of a frame, prepared as ``pixels`` (3,h,w).

        ``values``: what the network gave, written over when stabilised; None for a frame that did
        not change, which is given the depth before it.
        """
        if values is None:
            return self._reuse(frame)
        if self.model is not model:
            self._take_over(model)
        depth = model.depth(values, image_size(frame.image))
        scene_cut = self.cuts.update(pixels)
        if scene_cut:
            self.reset()
            self.stats.scene_cuts += 1
        if self._stabiliser is not None:
            start = time.perf_counter()
            self._stabiliser.update(depth.values, pixels, out=depth.values)
            self.stats.add("stabilise", time.perf_counter() - start)
        if self.gate is not None:  # kept for frames to come, whatever is done to this one's
            self._depth = replace(depth, values=depth.values.copy())
        shown = self.tracker.update(depth.values, frame.time_s)
        self.stats.frames += 1
        return Result(frame, depth, shown, scene_cut)

    def _reuse(self, frame: Frame) -> Result:
        if self._depth is None:
            raise RuntimeError("the first frame of a stream has nothing to reuse")
        values = self._depth.values.copy()  # each result is its own, to work on in place
        depth = replace(self._depth, values=values, image_size=image_size(frame.image))
        self.stats.frames += 1
        self.stats.reused += 1
        shown = self.tracker.update(depth.values, frame.time_s)
        return Result(frame, depth, shown, scene_cut=False, reused=True)

    def _take_over(self, model: DepthModel) -> None:
        """Another network has another scale and size; colours must not jump for that."""
        if self.model is not None:
            self.cuts.reset()
            self.tracker.change_scale()
        self.model = model
        self._stabiliser = Stabiliser.of(model.spec) if self.stabilise else None

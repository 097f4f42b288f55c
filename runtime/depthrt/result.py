"""What comes out of the pipeline: frames with their depth, and what was counted on the way."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from depthrt.depth import Depth
from depthrt.frame import Frame
from depthrt.latency import Latency


@dataclass(frozen=True, eq=False)
class Result:
    """A frame with its depth.

    - ``display_range``: causal low and high value to colour it by, without flicker;
    - ``scene_cut``: whether a new scene begins with it;
    - ``latency_s``: seconds from its capture until it was handed over; None for recordings;
    - ``reused``: whether the picture had not changed, so that the depth is an earlier frame's;
    - ``interpolated``: whether the network did not see the frame: its depth comes from keyframes;
    - ``audit_error``: of an inferred frame that would have been interpolated, how far off it would
      have been: the mean difference, whatever its sign, over the depth's 2-98 percentile spread;
    - ``keyframe_age_s``: of an interpolated frame of a live source, how much older the keyframe is.
    """

    frame: Frame
    depth: Depth
    display_range: tuple[float, float]
    scene_cut: bool
    latency_s: float | None = None
    reused: bool = False
    interpolated: bool = False
    audit_error: float | None = None
    keyframe_age_s: float | None = None


@dataclass
class Stats:
    """What was done so far with one source.

    - ``frames``: results made;
    - ``written``: those of them that every output has;
    - ``dropped``: frames of a live source for which there was no time;
    - ``late``: those among them that were older than the highest latency allowed;
    - ``reused``: results whose depth was that of an earlier frame;
    - ``interpolated``: results whose frame the network did not see;
    - ``audit_errors``: how far off interpolation would have been, where it was looked at;
    - ``keyframe_ages_s``: of live sources, how old the keyframes of interpolated results were;
    - ``busy_s``: the seconds each stage spent at work; one thread at a time adds to a stage;
    - ``latency``: from capture to the hand-over of the result, of live sources;
    - ``stage_s``: how long a stage took for one frame, as a distribution; None: not counted.
    """

    frames: int = 0
    written: int = 0
    dropped: int = 0
    late: int = 0
    scene_cuts: int = 0
    reused: int = 0
    interpolated: int = 0
    audit_errors: list[float] = field(default_factory=list)
    keyframe_ages_s: Latency = field(default_factory=Latency)
    busy_s: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    latency: Latency = field(default_factory=Latency)
    stage_s: defaultdict[str, Latency] | None = None

    def count_stages(self) -> None:
        """From now on, count how long each stage takes for a frame, too."""
        self.stage_s = defaultdict(Latency)

    def spend(self, stage: str, seconds: float) -> None:
        """Count the seconds that a stage was at work for one frame."""
        self.busy_s[stage] += seconds
        if self.stage_s is not None:
            self.stage_s[stage].add(seconds)

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
        self.interpolated += other.interpolated
        self.audit_errors += other.audit_errors
        self.keyframe_ages_s.merge(other.keyframe_ages_s)
        for stage, seconds in list(other.busy_s.items()):
            self.busy_s[stage] += seconds
        if self.stage_s is not None:
            for stage, times in list((other.stage_s or {}).items()):
                self.stage_s[stage].merge(times)
        self.latency.merge(other.latency)

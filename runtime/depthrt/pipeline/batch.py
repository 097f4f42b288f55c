"""The frames of one inference: running the network for them, and what becomes of its depth."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from depthrt.depth import Depth
from depthrt.errors import InferenceError
from depthrt.frame import Frame, image_size
from depthrt.model.depth_model import DepthModel
from depthrt.model.inference import Abort
from depthrt.monitor.watch import Watch
from depthrt.pipeline.options import StreamOptions
from depthrt.pipeline.stream_state import End, PreparedFrame
from depthrt.result import Result, Stats
from depthrt.temporal.display_range import RangeTracker, SceneCuts
from depthrt.temporal.frame_reuse import ReuseGate
from depthrt.temporal.keyframes import Estimate
from depthrt.temporal.stabiliser import Stabiliser


@dataclass(frozen=True, eq=False)
class Inferred:
    """What the frames are given, and the seconds that the network and optical flow took."""

    estimates: Sequence[Estimate]
    busy_s: float
    carry_s: float = 0.0


@dataclass(eq=False)
class Batch:
    """Frames that go into one inference; those that did not change take no part in it.

    ``outcome`` is their depth, or the error in its place; None until the inference has ended.
    ``abort`` can end the inference early.
    """

    frames: list[PreparedFrame]
    unchanged: list[bool]
    abort: Abort | None = None
    outcome: Inferred | Exception | None = None
    failed_streams: set[str] = field(default_factory=set)

    @property
    def model(self) -> DepthModel:
        """The model that the frames were prepared for."""
        return self.frames[0].model

    def infer(self) -> Inferred | Exception:
        """Run the network for the frames that changed; its error is returned, not raised."""
        changed = [
            item.pixels for item, same in zip(self.frames, self.unchanged, strict=True) if not same
        ]
        if not changed:
            return Inferred([], 0.0)
        start_s = time.perf_counter()
        try:
            prediction = self.model.predict(np.stack(changed), self.abort)
        except Exception as error:  # every stream is told its own, when its turn comes
            return error
        took_s = time.perf_counter() - start_s
        return Inferred([Estimate(each, inferred=True) for each in prediction], took_s)

    def results(self, streams: Mapping[str, StreamPostprocessor]) -> Iterator[Result | End]:
        """The results in order, and the end of a stream one of whose frames failed.

        Where the inference failed, the frames are computed one by one, so that only the streams of
        those that fail alone end.
        """
        if isinstance(self.outcome, Inferred):
            yield from self._results(self.outcome, streams)
        elif len(self.frames) > 1:
            for item, same in zip(self.frames, self.unchanged, strict=True):
                if item.stream.name not in self.failed_streams:
                    alone = Batch([item], [same], self.abort)
                    alone.outcome = alone.infer()
                    yield from alone.results(streams)
                    self.failed_streams |= alone.failed_streams
        elif self.outcome is not None:
            yield self._end(self.frames[0], self.outcome)

    def _results(
        self, inferred: Inferred, streams: Mapping[str, StreamPostprocessor]
    ) -> Iterator[Result | End]:
        estimates = iter(inferred.estimates)
        for item, same in zip(self.frames, self.unchanged, strict=True):
            found = None if same else next(estimates)
            if item.stream.cancelled or item.stream.name in self.failed_streams:
                continue
            if not same:
                stats, count = item.stream.stats, len(inferred.estimates)
                stats.spend("infer", inferred.busy_s / count)
                if inferred.carry_s:
                    stats.spend("carry", inferred.carry_s / count)
            try:
                postprocessor = streams[item.stream.name]
                result = postprocessor.result(item.frame, item.pixels, found, item.model)
            except Exception as error:  # of this stream alone
                yield self._end(item, error)
            else:
                yield result

    def _end(self, item: PreparedFrame, error: Exception) -> End:
        self.failed_streams.add(item.stream.name)
        return end_of(item, error)


def end_of(item: PreparedFrame, error: Exception) -> End:
    """The end of a stream at a frame that failed; an error of the network says which that is."""
    if isinstance(error, InferenceError):
        said = InferenceError(f"frame {item.frame.index}: {error}")
        said.__cause__ = error
        return End(item.stream.name, said)
    return End(item.stream.name, error)


@dataclass
class StreamPostprocessor:
    """Turns the depth maps of one stream into results, in order. It remembers that stream only.

    - ``stabilise``: take the flicker out of the depth;
    - ``gate``: tells which frames did not change; None: every frame is computed;
    - ``choose_watch``: what looks for drift, by the model in use; None: nothing does.
    """

    stats: Stats
    stabilise: bool = False
    gate: ReuseGate | None = None
    choose_watch: Callable[[DepthModel], Watch] | None = None
    cuts: SceneCuts = field(default_factory=SceneCuts)
    tracker: RangeTracker = field(default_factory=RangeTracker)
    model: DepthModel | None = None
    _gated: DepthModel | None = None  # frames are told apart a whole group before they are finished
    _stabiliser: Stabiliser | None = None
    _depth: Depth | None = None
    _watch: Watch | None = None

    @classmethod
    def of(cls, name: str, stats: Stats, options: StreamOptions) -> StreamPostprocessor:
        """One for the stream of this name, of which these are counted."""
        gate = None if options.reuse is None else ReuseGate(options.reuse)
        watches = options.watches
        return cls(stats, options.stabilise, gate, watches and partial(watches, name))

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
        return self.gate.unchanged(pixels, frame.exact_time_s)

    def result(
        self,
        frame: Frame,
        pixels: NDArray[np.uint8],
        found: Estimate | None,
        model: DepthModel,
    ) -> Result:
        """The result of a frame, prepared as ``pixels`` (3,h,w).

        ``found`` holds its depth (h,w), written over when stabilised, and the network's optional
        outputs, which are not stabilised. None stands for a frame that did not change: it gets the
        depth before it.
        """
        if found is None:
            return self._reuse(frame)
        if self.model is not model:
            self._take_over(model)
        depth = model.depth(found.made.depth, image_size(frame.pixels), found.made.optional)
        scene_cut = self.cuts.update(pixels)
        if scene_cut:
            self.reset()
            self.stats.scene_cuts += 1
        watch = self._watch if self._watch and self._watch.wants(frame.time_s) else None
        raw = None
        if self._stabiliser is not None:
            raw = depth.values.copy() if watch else None
            start = time.perf_counter()
            self._stabiliser.update(depth.values, pixels, out=depth.values, grey=found.grey)
            self.stats.spend("stabilise", time.perf_counter() - start)
        if watch:
            start = time.perf_counter()
            watch.see(frame.time_s, pixels, depth, raw, scene_cut=scene_cut)
            self.stats.spend("watch", time.perf_counter() - start)
        if self.gate is not None:  # kept for frames to come, whatever is done to this one's
            self._depth = depth.copy()
        shown = self.tracker.update(depth.values, frame.exact_time_s, depth.valid)
        self.stats.frames += 1
        self.stats.interpolated += not found.inferred
        if found.error is not None:
            self.stats.audit_errors.append(found.error)
        if found.age_s is not None:
            self.stats.keyframe_ages_s.add(found.age_s)
        return Result(
            frame, depth, shown, scene_cut,
            interpolated=not found.inferred, audit_error=found.error,
            keyframe_age_s=found.age_s,
        )  # fmt: skip

    def _reuse(self, frame: Frame) -> Result:
        if self._depth is None:
            raise RuntimeError("the first frame of a stream has nothing to reuse")
        # Each result is its own, to work on in place.
        depth = replace(self._depth.copy(), image_size=image_size(frame.pixels))
        self.stats.frames += 1
        self.stats.reused += 1
        shown = self.tracker.update(depth.values, frame.exact_time_s, depth.valid)
        return Result(frame, depth, shown, scene_cut=False, reused=True)

    def _take_over(self, model: DepthModel) -> None:
        """Another network has another scale and size; colours must not jump for that."""
        if self.model is not None:
            self.cuts.reset()
            self.tracker.change_scale()
        self.model = model
        self._stabiliser = Stabiliser.of(model.spec) if self.stabilise else None
        self._watch = None if self.choose_watch is None else self.choose_watch(model)

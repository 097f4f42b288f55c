"""The frames of one inference: running the network for them, and their results."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import InferenceError
from depthrt.model.depth_model import Abort, DepthModel
from depthrt.pipeline.postprocess import StreamPostprocessor
from depthrt.pipeline.stream_state import End, PreparedFrame
from depthrt.result import Result


@dataclass(frozen=True, eq=False)
class Inferred:
    """Depth maps N,h,w and the seconds they took."""

    maps: NDArray[np.float32]
    busy_s: float


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
            return Inferred(np.empty((0, 0, 0), np.float32), 0.0)
        start_s = time.perf_counter()
        try:
            maps = self.model.infer(np.stack(changed), self.abort)
        except Exception as error:  # every stream is told its own, when its turn comes
            return error
        return Inferred(maps, time.perf_counter() - start_s)

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
        maps = iter(inferred.maps)
        for item, same in zip(self.frames, self.unchanged, strict=True):
            values = None if same else next(maps)
            if item.stream.cancelled or item.stream.name in self.failed_streams:
                continue
            if not same:
                item.stream.stats.add("infer", inferred.busy_s / len(inferred.maps))
            try:
                postprocessor = streams[item.stream.name]
                result = postprocessor.result(item.frame, item.pixels, values, item.model)
            except Exception as error:  # of this stream alone
                yield self._end(item, error)
            else:
                yield result

    def _end(self, item: PreparedFrame, error: Exception) -> End:
        self.failed_streams.add(item.stream.name)
        if isinstance(error, InferenceError):
            said = InferenceError(f"frame {item.frame.index}: {error}")
            said.__cause__ = error
            return End(item.stream.name, said)
        return End(item.stream.name, error)

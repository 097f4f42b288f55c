"""The frames of all streams that wait for the network, and which of them go together."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence

from depthrt.pipeline.ladder.model_ladder import Load
from depthrt.pipeline.options import FramesAhead
from depthrt.pipeline.stream_state import PreparedFrame, StreamState
from depthrt.sources.live.live_limits import LiveLimits


class FrameQueue:
    """Waiting frames of several streams. It has no lock: the scheduler's guards it.

    Args:
        streams: whose frames wait in ``StreamState.waiting``.
        ahead: what waits at most; of a live stream the newest frame waits.
        batch: frames that go into one inference at most.
        wait_s: how long frames wait for others to fill a batch; None is as long as it takes.
        limits: what is taken of live streams.
        alone: frames of different streams are not taken together.
    """

    def __init__(
        self,
        streams: Sequence[StreamState],
        ahead: FramesAhead,
        batch: int,
        wait_s: float | None,
        limits: LiveLimits,
        *,
        alone: bool = False,
    ) -> None:
        self._all = list(streams)
        self._open = deque(streams)  # in the order of their turns
        self._ahead, self._batch = ahead, batch
        self._wait_s, self._limits = wait_s, limits
        self._alone = alone
        self._waiting_since_s: float | None = None  # that frames wait for others
        self._dropped = 0  # when the load was last asked for

    @property
    def frames(self) -> int:
        """How many frames wait."""
        return sum(len(stream.waiting) for stream in self._open)

    @property
    def is_over(self) -> bool:
        """Whether no frame waits and none will come."""
        return not self._open

    def may_read(self, stream: StreamState, taken: int) -> bool:
        """Whether another frame of a stream may be read.

        Args:
            stream: the stream.
            taken: frames that left the queue and whose results were not handed over.
        """
        if stream.reading or stream.finished or stream.cancelled:
            return False
        if stream.live:
            return True
        begun = self.frames + sum(other.reading for other in self._all)
        return len(stream.waiting) < self._ahead.waiting and begun + taken < self._ahead.under_way

    def next_to_read(self, taken: int) -> StreamState | None:
        """The recording with the fewest frames waiting of those that may be read."""
        readable = [
            stream
            for stream in self._all
            if not stream.source.info.blocks and self.may_read(stream, taken)
        ]
        return min(readable, key=lambda stream: len(stream.waiting), default=None)

    def add(self, item: PreparedFrame) -> None:
        """Take a frame; of a live stream it replaces the one that waits."""
        stream = item.stream
        if stream.live and stream.waiting:
            stream.waiting.popleft()
            stream.stats.drop()
        stream.waiting.append(item)

    def take_ended(self) -> StreamState | None:
        """A stream that has given all its frames, once; cancelled ones leave silently."""
        for stream in list(self._open):
            if (stream.finished or stream.cancelled) and not stream.waiting:
                self._open.remove(stream)
                if not stream.cancelled:
                    return stream
        return None

    def take(self) -> list[PreparedFrame]:
        """The frames of the next inference; none while others may soon fill its batch."""
        group = self._pick()
        if not group:
            return []
        if len(group) < self._batch and self._may_grow(group):
            now_s = time.monotonic()
            self._waiting_since_s = self._waiting_since_s or now_s
            if self._wait_s is None or now_s < self._waiting_since_s + self._wait_s:
                return []
        self._waiting_since_s = None
        for item in group:
            item.stream.waiting.popleft()
        self._open.rotate(-1)  # the next group begins with another stream
        return group

    def take_frame(self, wanted: Callable[[PreparedFrame], bool]) -> PreparedFrame | None:
        """The first frame that is wanted, of the streams in turn; None if none is."""
        for stream in self._open:
            if stream.waiting and wanted(stream.waiting[0]):
                self._open.rotate(-1)
                return stream.waiting.popleft()
        return None

    def due_in_s(self) -> float:
        """Seconds until frames no longer wait for others; infinite if none do."""
        if self._waiting_since_s is None or self._wait_s is None:
            return math.inf
        return max(0.0, self._waiting_since_s + self._wait_s - time.monotonic())

    def _pick(self) -> list[PreparedFrame]:
        """What can go into one inference now: one frame of each stream in turn.

        The size and model of the first frame decide.
        """
        streams = [stream for stream in self._open if stream.waiting]
        if not streams:
            return []
        if self._alone:
            streams = [max(streams, key=self._is_ready)]
        first = streams[0].waiting[0]
        group: list[PreparedFrame] = []
        depth = 0
        while streams and len(group) < self._batch:
            streams = [
                each
                for each in streams
                if len(each.waiting) > depth and each.waiting[depth].fits(first)
            ]
            group += [stream.waiting[depth] for stream in streams[: self._batch - len(group)]]
            depth += 1
        return group

    def _is_ready(self, stream: StreamState) -> bool:
        """Whether a stream has all frames of a group, or as many as there will be."""
        return stream.finished or len(stream.waiting) >= self._batch

    def _may_grow(self, group: Sequence[PreparedFrame]) -> bool:
        """Whether a stream may soon have another frame for this group; live ones give one each."""
        given = {id(item.stream) for item in group}
        return any(
            not stream.finished
            and not stream.cancelled
            and len(stream.waiting) < (1 if stream.live else self._ahead.waiting)
            and not (stream.live and id(stream) in given)
            and all(item.fits(group[0]) for item in stream.waiting)
            for stream in self._open
            if not self._alone or id(stream) in given
        )

    def drop_old(self) -> None:
        """Drop frames that are older than allowed, and count them."""
        limit_s = self._limits.max_latency_s
        if limit_s is None:
            return
        for stream in self._open:
            while stream.waiting and (taken_s := stream.waiting[0].frame.captured_s) is not None:
                if time.monotonic() - taken_s <= limit_s:
                    break
                stream.waiting.popleft()
                stream.stats.drop()
                stream.stats.late += 1

    def too_late(self, stream: StreamState, latency_s: float) -> bool:
        """Whether a result is older than allowed; it is counted as dropped then."""
        limit_s = self._limits.max_latency_s
        if limit_s is None or latency_s <= limit_s:
            return False
        stream.stats.drop()
        stream.stats.late += 1
        return True

    def load(self, target_fps: float) -> Load:
        """What is asked for when each stream is to have so many frames a second."""
        limit = self._limits.max_rate or target_fps
        rates = [
            min(target_fps, limit, float(stream.source.info.rate or target_fps))
            if stream.live
            else target_fps
            for stream in self._all
            if not (stream.told or stream.cancelled)
        ]
        dropped = sum(stream.stats.dropped for stream in self._all)
        kept_up, self._dropped = dropped == self._dropped, dropped
        return Load(sum(rates), kept_up and all(stream.live for stream in self._all))

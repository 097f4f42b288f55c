"""The frames of all streams that wait for the network, and which of them go together."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from depthrt.pipeline.stream_state import PreparedFrame, StreamState
from depthrt.sources.live.live_limits import LiveLimits


@dataclass(frozen=True)
class Load:
    """What the streams that are open ask for.

    - ``wanted_fps``: frames a second of all, where live ones give no more than they have;
    - ``dropped``: frames dropped so far;
    - ``live``: whether all are live.
    """

    wanted_fps: float
    dropped: int
    live: bool


class FrameQueue:
    """Waiting frames of several streams. It has no lock: the scheduler's guards it.

    A recording has ``capacity`` frames here at most; a live stream has its newest frame.
    """

    def __init__(self, streams: Sequence[StreamState], capacity: int, limits: LiveLimits) -> None:
        self._all = list(streams)
        self._open = deque(streams)  # in the order of their turns
        self._capacity, self._limits = capacity, limits

    @property
    def frames(self) -> int:
        """How many frames wait."""
        return sum(len(stream.waiting) for stream in self._open)

    @property
    def is_over(self) -> bool:
        """Whether no frame waits and none will come."""
        return not self._open

    def has_room(self, stream: StreamState) -> bool:
        """Whether another frame of a stream may be read."""
        return stream.live or len(stream.waiting) < self._capacity

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

    def pick(self, most: int) -> list[PreparedFrame]:
        """What can go into one inference now: one frame of each stream in turn.

        The size and model of the first frame decide. The frames stay here until they are removed.
        """
        streams = [stream for stream in self._open if stream.waiting]
        if not streams:
            return []
        first = streams[0].waiting[0]
        group: list[PreparedFrame] = []
        depth = 0
        while streams and len(group) < most:
            streams = [
                each
                for each in streams
                if len(each.waiting) > depth and each.waiting[depth].fits(first)
            ]
            group += [stream.waiting[depth] for stream in streams[: most - len(group)]]
            depth += 1
        return group

    def may_grow(self, group: Sequence[PreparedFrame]) -> bool:
        """Whether a stream may soon have another frame for this group; live ones give one each."""
        given = {id(item.stream) for item in group}
        return any(
            not stream.finished
            and not stream.cancelled
            and len(stream.waiting) < (1 if stream.live else self._capacity)
            and not (stream.live and id(stream) in given)
            and all(item.fits(group[0]) for item in stream.waiting)
            for stream in self._open
        )

    def remove(self, group: Sequence[PreparedFrame]) -> None:
        """Take a group away; the next one begins with another stream."""
        for item in group:
            item.stream.waiting.popleft()
        self._open.rotate(-1)

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
        return Load(sum(rates), dropped, all(stream.live for stream in self._all))

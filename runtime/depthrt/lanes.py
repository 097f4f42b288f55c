"""Frames of several sources, read side by side and given out fairly, in groups for one inference.

Every source has a thread that decodes and prepares its frames into a lane, a short queue. The lanes
of recordings wait when they are full; those of live sources keep the newest frame.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace

from depthrt.frame import Frame
from depthrt.lane import End, Lane, Load, Prepared, prepared
from depthrt.limits import LiveLimits, Thinning
from depthrt.model import DepthModel

# A network that hangs, or an iterable that waits for its next image, may keep its thread longer
# than we wait for it.
_LIVE_END_S = 1.0
# What is read at a time: long enough to pay, short enough to be stopped and to be given out.
_BURST_S = 0.1


class Lanes:
    """The lanes of several sources.

    Args:
        lanes: the sources, under names that differ.
        model: the model to prepare a frame for, asked for every frame.
        size: frames that wait in the lane of a recording.
        limits: what is taken of live sources.
        pictures: frames keep their pixels once they are prepared.
        turns: held while a recording is read, a burst of frames at a time.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        model: Callable[[], DepthModel],
        size: int,
        limits: LiveLimits,
        *,
        pictures: bool = True,
        turns: AbstractContextManager[object] | None = None,
    ) -> None:
        self.stats = {lane.name: lane.stats for lane in lanes}
        self._lanes = deque(lanes)
        self._model = model
        self._size = size
        self._limits = limits
        self._pictures = pictures
        self._turns = turns or nullcontext()
        self._changed = threading.Condition()
        self._threads = [
            (
                lane,
                threading.Thread(
                    target=self._run, args=(lane,), name=f"depthrt-read-{lane.name}", daemon=True
                ),
            )
            for lane in lanes
        ]

    def start(self) -> None:
        """Begin to read all sources."""
        for _, thread in self._threads:
            thread.start()

    def take(self, most: int, wait_s: float | None) -> list[Prepared] | End | None:
        """The next frames that can go into one inference, at most ``most``; None at the end of all.

        Lanes take turns. When there are fewer, ``wait_s`` seconds are waited for the others; None
        waits for as long as more can come. The end of each lane is given out once, too, except of
        those that were stopped.
        """
        with self._changed:
            while True:
                self._drop_old()
                end = self._clear_away()
                if end is not None:
                    return end
                if not self._lanes:
                    return None
                if not any(lane.items for lane in self._lanes):
                    self._changed.wait()
                    continue
                group = self._gather(most, wait_s)
                self._remove(group)
                if group:  # while waiting for more of it, all of it may have been stopped
                    return group

    def take_burst(
        self, most: int, wait_s: float | None, frames: int
    ) -> list[list[Prepared]] | End | None:
        """One group as :meth:`take` gives it, and those that are there already behind it.

        No more groups than make up so many frames.
        """
        with self._changed:
            taken = self.take(most, wait_s)
            if not isinstance(taken, list):
                return taken
            groups, left = [taken], frames - len(taken)
            while left > 0 and (group := self._whole(most)):
                groups.append(group)
                left -= len(group)
            return groups

    def _whole(self, most: int) -> list[Prepared]:
        """A group that need not wait for more frames; empty if there is none."""
        group = self._pick(most)
        if len(group) < most and self._more_to_come(group):
            return []
        self._remove(group)
        return group

    def _remove(self, group: list[Prepared]) -> None:
        for item in group:
            item.lane.items.popleft()
        if group:
            self._lanes.rotate(-1)
            self._changed.notify_all()

    def _gather(self, most: int, wait_s: float | None) -> list[Prepared]:
        """What goes into one inference, once it is full or has waited long enough."""
        deadline_s = None if wait_s is None else time.monotonic() + wait_s
        group = self._pick(most)
        while group and len(group) < most and self._more_to_come(group):
            left_s = None if deadline_s is None else deadline_s - time.monotonic()
            if left_s is not None and left_s <= 0:
                break
            self._changed.wait(left_s)
            group = self._pick(most)
        return group

    def too_late(self, stream: str, latency_s: float) -> bool:
        """Whether a result is older than allowed; it is counted as dropped then."""
        limit_s = self._limits.max_latency_s
        if limit_s is None or latency_s <= limit_s:
            return False
        with self._changed:
            self.stats[stream].drop()
            self.stats[stream].late += 1
        return True

    def load(self, target_fps: float) -> Load:
        """What is asked for when each stream is to have so many frames a second."""
        with self._changed:
            limit = self._limits.max_rate or target_fps
            rates = [
                min(target_fps, limit, float(lane.source.info.rate or target_fps))
                if lane.live
                else target_fps
                for lane in self._lanes
            ]
            dropped = sum(stats.dropped for stats in self.stats.values())
            return Load(sum(rates), dropped, all(lane.live for lane in self._lanes))

    def stop(self, name: str) -> None:
        """End one source; what waits of it is thrown away."""
        with self._changed:
            for lane in self._lanes:
                if lane.name == name:
                    self._cancel(lane)
            self._changed.notify_all()

    def close(self) -> None:
        """End all sources and their threads."""
        with self._changed:
            for lane, _ in self._threads:
                self._cancel(lane)
            self._changed.notify_all()
        deadline_s = time.monotonic() + _LIVE_END_S
        for lane, thread in self._threads:
            if thread.ident is not None:
                left_s = max(0.0, deadline_s - time.monotonic())
                thread.join(None if lane.ends_by_itself else left_s)
            elif close := getattr(lane.source, "close", None):
                close()  # it was never read

    def cancel(self) -> None:
        """Ask all sources to end, from whatever thread, and do not wait for it."""
        with self._changed:
            for lane, _ in self._threads:
                self._cancel(lane)
            self._changed.notify_all()

    def _cancel(self, lane: Lane) -> None:
        lane.cancelled = True
        lane.items.clear()
        stop = getattr(lane.source, "stop", None)  # live sources wait for networks and devices
        if stop is not None:
            stop()

    def _clear_away(self) -> End | None:
        """Let go of lanes that were stopped, and of one that has ended."""
        for lane in list(self._lanes):
            if (lane.finished or lane.cancelled) and not lane.items:
                self._lanes.remove(lane)
                if not lane.cancelled:
                    return End(lane.name, lane.error)
        return None

    def _drop_old(self) -> None:
        limit_s = self._limits.max_latency_s
        if limit_s is None:
            return
        for lane in self._lanes:
            while lane.items and (taken_s := lane.items[0].frame.captured_s) is not None:
                if time.monotonic() - taken_s <= limit_s:
                    break
                lane.items.popleft()
                lane.stats.drop()
                lane.stats.late += 1

    def _pick(self, most: int) -> list[Prepared]:
        """What can go together now: one of each lane in turn, the first lane's size decides."""
        lanes = [lane for lane in self._lanes if lane.items]
        if not lanes:
            return []
        first = lanes[0].items[0]
        group: list[Prepared] = []
        depth = 0
        while lanes and len(group) < most:
            lanes = [
                each for each in lanes if len(each.items) > depth and each.items[depth].fits(first)
            ]
            group += [lane.items[depth] for lane in lanes[: most - len(group)]]
            depth += 1
        return group

    def _more_to_come(self, group: list[Prepared]) -> bool:
        """Whether a lane may soon have a frame for this group; live ones give one each."""
        given = {id(item.lane) for item in group}
        return any(
            not lane.finished
            and not lane.cancelled
            and len(lane.items) < self._capacity(lane)
            and not (lane.live and id(lane) in given)
            and all(item.fits(group[0]) for item in lane.items)
            for lane in self._lanes
        )

    def _capacity(self, lane: Lane) -> int:
        return 1 if lane.live else self._size

    def _low(self, lane: Lane) -> int:
        """How far a full lane is emptied before its source goes on.

        A lane alone by half, so that decoding and inference change over less often; it holds two
        groups, so half of it is a whole one. Of several, each goes on at once: others wait for it.
        """
        capacity = self._capacity(lane)
        return capacity // 2 if len(self._threads) == 1 else capacity - 1

    def _wait_for_room(self, lane: Lane) -> int:
        """For how many frames there is room in a lane; 0 once nobody wants more of it."""
        with self._changed:
            capacity = self._capacity(lane)
            if not lane.live and len(lane.items) >= capacity:
                while len(lane.items) > self._low(lane) and not lane.cancelled:
                    self._changed.wait()
            return 0 if lane.cancelled else max(1, capacity - len(lane.items))

    def _put(self, lane: Lane, items: list[Prepared]) -> None:
        with self._changed:
            if lane.cancelled or not items:
                return
            if lane.live and lane.items:
                lane.items.popleft()
                lane.stats.drop()
            lane.items.extend(items)
            self._changed.notify_all()

    def _run(self, lane: Lane) -> None:
        error: BaseException | None = None
        try:
            self._read(lane)
        except BaseException as caught:  # it travels to the consumer, whatever it is
            error = caught
        with self._changed:
            lane.finished, lane.error = True, error
            self._changed.notify_all()

    def _read(self, lane: Lane) -> None:
        thinned = Thinning(self._limits.max_rate if lane.live else None)
        frames = lane.source.frames()
        if not isinstance(frames, Generator):
            frames = (frame for frame in frames)
        turn = self._turns if lane.is_work else nullcontext()
        most, more = 1, True  # the first frames are wanted soon
        with closing(frames) as open_frames:
            while more and (room := self._wait_for_room(lane)):
                burst: list[Prepared] = []
                try:
                    with turn:
                        more = self._fill(burst, min(room, most), lane, open_frames, thinned)
                finally:  # what came before an error is good
                    self._put(lane, burst)
                if lane.is_work:  # others may give the next only after this one's depth
                    most *= 2

    def _fill(
        self,
        burst: list[Prepared],
        most: int,
        lane: Lane,
        frames: Generator[Frame, None, None],
        thinned: Thinning,
    ) -> bool:
        """Read and prepare so many frames, or as many as there is time for; whether more may come.

        Of a source that is slower than that each frame goes on at once.
        """
        end_s = time.perf_counter() + _BURST_S
        while len(burst) < most and not lane.cancelled:
            start = time.perf_counter()
            frame = next(frames, None)
            decoded = time.perf_counter()
            lane.stats.add("wait" if lane.live else "decode", decoded - start)
            if frame is None:
                return False
            if not thinned.wants(frame.time_s):
                continue
            if lane.live and frame.captured_s is None:
                frame = replace(frame, captured_s=time.monotonic())
            burst.append(prepared(lane, frame, self._model(), pictures=self._pictures))
            done = time.perf_counter()
            lane.stats.add("prepare", done - decoded)
            if done > end_s:
                break
        return True

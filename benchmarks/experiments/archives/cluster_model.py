"""A model of `depthrt batch` on a cluster, event by event: what each worker does, and waits for.

It follows the driver of ``depthrt_archives``: the next segments of videos that are begun come
first, then new sources, then segments ahead, of which only the network is run. What a video looks
back on is handed from segment to segment, so its segments end one after the other.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

AHEAD_PER_WORKER = 2  # as the driver has it
KEPT_FILES = 4  # fetched ones that a worker keeps


@dataclass(frozen=True)
class Costs:
    """Seconds of one worker, as measured, and bytes.

    - ``decode_s``, ``infer_s``, ``finish_s``: of a frame: decoding and preparing it, the network,
      and what follows (stabiliser, colours, encoder);
    - ``aside_s``: of a frame that is run ahead: writing it aside, and reading it again;
    - ``task_s``: of a segment: opening and seeking, what is handed over, the commit;
    - ``plan_s``, ``join_s``: of a second of video: reading its packets, joining its parts;
    - ``start_s``: of a worker: from its start to its model being ready;
    - ``driver_s``: of the driver for a task, one after the other;
    - ``fps``: frames in a second of video;
    - ``read_bytes``, ``write_bytes``: of a second of video.
    """

    decode_s: float
    infer_s: float
    finish_s: float
    aside_s: float
    task_s: float
    plan_s: float
    join_s: float
    start_s: float
    driver_s: float
    fps: float
    read_bytes: float
    write_bytes: float

    @cached_property
    def frame_s(self) -> float:
        """Of a frame from decoding to the encoder."""
        return self.decode_s + self.infer_s + self.finish_s


@dataclass(frozen=True)
class Cluster:
    """Workers and what goes wrong with them.

    - ``store_bytes_per_s``: of the object store, shared by all; ``link_bytes_per_s``: of a worker;
    - ``died_every_s``: mean time of a worker between deaths;
    - ``slow_share``, ``slow_factor``: so many workers take so many times as long;
    - ``runs_ahead``: whether idle workers run the network of later segments.
    """

    workers: int
    store_bytes_per_s: float = math.inf
    link_bytes_per_s: float = math.inf
    died_every_s: float = math.inf
    slow_share: float = 0.0
    slow_factor: float = 1.0
    runs_ahead: bool = True


@dataclass
class Outcome:
    """What came of it.

    - ``seconds``: from start to end;
    - ``driver_s``: that the driver was busy; ``fetch_s``: that workers waited for the store;
    - ``lost_s``: work of workers that died; ``deaths``: how many did;
    - ``ahead``: segments whose network was run ahead;
    - ``tail_s``: from the first worker that found nothing to do to the end.
    """

    seconds: float = 0.0
    driver_s: float = 0.0
    fetch_s: float = 0.0
    lost_s: float = 0.0
    deaths: int = 0
    tasks: int = 0
    ahead: int = 0
    tail_s: float = 0.0


@dataclass(eq=False, slots=True)
class _Video:
    length_s: float
    segments: int
    number: int
    next: int = 0
    next_ahead: int = 1
    is_running: bool = False
    ahead: set[int] = field(default_factory=set)


class _Task(NamedTuple):
    kind: str  # plan, run, ahead
    video: _Video
    segment: int
    seconds: float


class Simulation:
    """One archive on one cluster.

    Args:
        lengths_s: of the videos, in the order in which they are listed.
        segment_s: of a segment.
        costs: of the work.
        cluster: that does it.
        seed: of deaths and slow workers.
    """

    def __init__(
        self,
        lengths_s: Sequence[float],
        segment_s: float,
        costs: Costs,
        cluster: Cluster,
        seed: int = 0,
    ) -> None:
        self.costs, self.cluster, self.segment_s = costs, cluster, segment_s
        self._random = random.Random(seed)
        self._new = deque(
            _Video(length, max(1, int(length / segment_s)), number)
            for number, length in enumerate(lengths_s)
        )
        self._ready: deque[_Video] = deque()  # begun, and nobody does their next segment
        self._begun: dict[int, _Video] = {}
        self._under_way = 0  # segments ahead
        self._driver_free_s = self._store_free_s = 0.0
        slow = round(cluster.slow_share * cluster.workers)
        self._factors = [cluster.slow_factor if n < slow else 1.0 for n in range(cluster.workers)]
        self._random.shuffle(self._factors)
        self._kept: list[deque[int]] = [deque(maxlen=KEPT_FILES) for _ in range(cluster.workers)]
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Do all of it."""
        out = self.outcome
        events = [(self.costs.start_s, number) for number in range(self.cluster.workers)]
        doing: dict[int, tuple[_Task, bool]] = {}  # and whether its worker lives to its end
        idle: list[int] = []
        first_idle_s = math.inf
        while events:
            now_s, worker = heapq.heappop(events)
            task, lives = doing.pop(worker, (None, True))
            if task is not None and not lives:
                self._return(task)
                heapq.heappush(events, (now_s + self.costs.start_s, worker))
            else:
                idle.append(worker)
                if task is not None:
                    self._note(task)
                    out.seconds = now_s
            while idle:
                given = self._next()
                if given is None:
                    first_idle_s = min(first_idle_s, now_s)
                    break
                taker = idle.pop()
                end_s, lives = self._begin(given, taker, now_s)
                doing[taker] = given, lives
                heapq.heappush(events, (end_s, taker))
        out.tail_s = max(0.0, out.seconds - first_idle_s)
        return out

    def _begin(self, task: _Task, worker: int, now_s: float) -> tuple[float, bool]:
        """When the task ends, or its worker dies; whether it lives to the end."""
        out, costs = self.outcome, self.costs
        begin_s = self._driver_free_s = max(now_s, self._driver_free_s) + costs.driver_s
        out.driver_s += costs.driver_s
        out.tasks += 1
        fetch_s = self._fetch_s(task, worker, begin_s)
        seconds = task.seconds * self._factors[worker] + fetch_s
        if self.cluster.died_every_s < math.inf:
            died_s = self._random.expovariate(1 / self.cluster.died_every_s)
            if died_s < seconds:
                out.deaths += 1
                out.lost_s += died_s
                self._kept[worker].clear()
                return begin_s + died_s, False
        out.fetch_s += fetch_s
        return begin_s + seconds, True

    def _fetch_s(self, task: _Task, worker: int, now_s: float) -> float:
        """For the store: the whole file where the worker has not got it, and what is written.

        The store serves one after the other at its full rate, a worker no faster than its link.
        """
        cluster, costs, video = self.cluster, self.costs, task.video
        if cluster.store_bytes_per_s == math.inf:
            return 0.0
        content = 0.0
        kept = self._kept[worker]
        if video.number not in kept:
            kept.append(video.number)
            content += costs.read_bytes * video.length_s
        if task.kind == "run":
            content += costs.write_bytes * self._length_of(video, task.segment)
        served_s = max(now_s, self._store_free_s) + content / cluster.store_bytes_per_s
        self._store_free_s = served_s
        return max(served_s - now_s, content / cluster.link_bytes_per_s)

    def _next(self) -> _Task | None:
        if self._ready:
            return self._run_task(self._ready.popleft())
        if self._new:
            video = self._new.popleft()
            self._begun[video.number] = video
            if video.segments == 1:
                return self._run_task(video)
            video.is_running = True
            return _Task("plan", video, 0, self.costs.task_s + self.costs.plan_s * video.length_s)
        return self._ahead_task() if self.cluster.runs_ahead else None

    def _run_task(self, video: _Video) -> _Task:
        costs, segment = self.costs, video.next
        frames = costs.fps * self._length_of(video, segment)
        is_ahead = segment in video.ahead
        seconds = frames * (costs.finish_s + costs.aside_s if is_ahead else costs.frame_s)
        if segment == video.segments - 1 and segment:
            seconds += costs.join_s * video.length_s
        video.is_running = True
        video.next_ahead = max(video.next_ahead, segment + 1)
        return _Task("run", video, segment, seconds + costs.task_s)

    def _ahead_task(self) -> _Task | None:
        most = AHEAD_PER_WORKER * self.cluster.workers
        if self._under_way >= most:
            return None
        for video in self._begun.values():
            segment = video.next_ahead
            if segment < min(video.segments, video.next + 1 + most):
                video.next_ahead += 1
                self._under_way += 1
                self.outcome.ahead += 1
                costs = self.costs
                frames = costs.fps * self._length_of(video, segment)
                seconds = frames * (costs.decode_s + costs.infer_s) + costs.task_s
                return _Task("ahead", video, segment, seconds)
        return None

    def _length_of(self, video: _Video, segment: int) -> float:
        if segment < video.segments - 1:
            return self.segment_s
        return video.length_s - segment * self.segment_s

    def _note(self, task: _Task) -> None:
        video = task.video
        if task.kind == "ahead":
            if task.segment > video.next or (task.segment == video.next and not video.is_running):
                video.ahead.add(task.segment)
            else:
                self._under_way -= 1  # its turn came first: it was for nothing
            return
        video.is_running = False
        if task.kind == "run":
            if task.segment in video.ahead:
                video.ahead.discard(task.segment)
                self._under_way -= 1
            video.next += 1
            if video.next == video.segments:
                del self._begun[video.number]
                return
        self._ready.append(video)

    def _return(self, task: _Task) -> None:
        """Give back what a worker that died has not done."""
        video = task.video
        if task.kind == "ahead":
            self._under_way -= 1
            video.next_ahead = min(video.next_ahead, max(task.segment, video.next + 1))
            return
        video.is_running = False
        if task.kind == "plan" or video.segments == 1:
            del self._begun[video.number]
            self._new.appendleft(video)
        else:
            self._ready.appendleft(video)

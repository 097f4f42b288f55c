"""The driver: hands tasks to workers, and notes what they made.

The order of tasks: the next segments of videos that are begun, then new sources, then segments
ahead. What is done depends on none of it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depthrt_archives.engines.base import Died, Engine, Report
from depthrt_archives.plan.remote import is_remote
from depthrt_archives.record.manifest import Manifest
from depthrt_archives.record.work_folder import WorkFolder
from depthrt_archives.tasks import (
    BatchOptions,
    Done,
    Failed,
    Item,
    Outcome,
    Ready,
    SegmentDone,
    Split,
    StartOver,
    Task,
)

_WAIT_S = 0.5
_AHEAD_PER_WORKER = 2  # segments that were run ahead and wait for their turn
_QUICK_DEATHS = 3  # of workers before they were ready, in a row

Tell = Callable[[str, Mapping[str, Any]], None]
"""Called with the name of an event and what is to be said of it."""


@dataclass(eq=False)
class _Video:
    """A long video that is begun: ``next`` is the segment that is done next."""

    item: Item
    segments: int
    next: int
    known: Mapping[str, Any] | None
    ahead: set[int]
    running: set[int] = field(default_factory=set)
    may_run_ahead: bool = True


@dataclass
class Totals:
    """What became of a batch; ``failures``: sentences by source."""

    done: int = 0
    skipped: int = 0
    frames: int = 0
    retries: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    stopped: str = ""
    exit_code: int = 0


class Driver:
    """Runs a batch to its end.

    Args:
        engine: gives the workers.
        workers: how many.
        options: of the batch.
        items: the sources.
        manifest: what is done.
        head: gives the first line of the manifest, of what a worker says of itself.
        tell: is told of events.
        retries: how often a task is given again after its worker died.
        max_failures: more failures than these stop the run; None: none do.
    """

    def __init__(
        self,
        engine: Engine,
        workers: int,
        options: BatchOptions,
        items: Iterator[Item],
        manifest: Manifest,
        head: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        tell: Tell,
        *,
        retries: int = 4,
        max_failures: int | None = None,
    ) -> None:
        self._engine, self._count, self._options = engine, workers, options
        self._items, self._manifest, self._head, self._tell = items, manifest, head, tell
        self._retries, self._max_failures = retries, max_failures
        self._work = WorkFolder(options.out)
        self._idle: deque[int] = deque()
        self._tasks: dict[int, Task | None] = {}  # None: the worker is starting
        self._again: deque[Task] = deque()
        self._videos: dict[str, _Video] = {}
        self._attempts: Counter[tuple[str, str, int]] = Counter()
        self._quick_deaths = 0
        self._listed_all = False
        self.totals = Totals()

    def run(self) -> Totals:
        """Do all there is to do, until the end, too many failures, or an error of all workers."""
        first = self._next_task()
        if first is None:
            return self.totals
        self._again.appendleft(first)
        for worker in range(self._count):
            self._start(worker)
        while not self.totals.stopped:
            self._hand_out()
            if not any(self._tasks.values()) and not self._starting():
                break
            for report in self._engine.wait(_WAIT_S):
                self._note(report)
        return self.totals

    def _starting(self) -> bool:
        """Whether workers are starting that there is work for."""
        return any(task is None for task in self._tasks.values()) and bool(
            self._again or self._videos or not self._listed_all
        )

    def _start(self, worker: int) -> None:
        self._tasks[worker] = None
        self._engine.start(worker)

    def _hand_out(self) -> None:
        while self._idle and (task := self._next_task()) is not None:
            worker = self._idle.popleft()
            self._tasks[worker] = task
            self._tell(
                "task",
                {"source": task.item.source, "kind": task.kind, "segment": task.segment},
            )
            self._engine.submit(worker, task)

    def _next_task(self) -> Task | None:
        for video in self._videos.values():
            if video.next not in video.running:
                video.running.add(video.next)
                return Task("run", video.item, video.next, video.known)
        if self._again:
            return self._again.popleft()
        return self._new_item() or self._ahead()

    def _new_item(self) -> Task | None:
        for item in self._items:
            known = self._manifest.known.get(item.id)
            if known is None:
                return Task("start", item)
            item = Item(item.id, item.source, known["output"])
            if self._is_done(item, known):
                self.totals.skipped += 1
                self._tell("skipped", {"source": item.source, "output": item.output})
                continue
            if not (self._options.out / item.output).exists():
                known = {**known, "sha256": ""}  # the output is gone: it is made again
            return Task("start", item, known=known)
        self._listed_all = True
        return None

    def _is_done(self, item: Item, known: Mapping[str, Any]) -> bool:
        """Whether a source is what it was, and its output is there."""
        if not (self._options.out / item.output).exists():
            return False
        if is_remote(item.source):
            return False  # a worker asks the service
        try:
            facts = Path(item.source).stat()
        except OSError:
            return False
        return bool([facts.st_size, facts.st_mtime_ns] == known["stamp"])

    def _ahead(self) -> Task | None:
        if not self._options.may_run_ahead:
            return None
        most = _AHEAD_PER_WORKER * self._count
        under_way = sum(
            len(video.ahead) + len(video.running - {video.next}) for video in self._videos.values()
        )
        if under_way >= most:
            return None
        for video in self._videos.values():
            if not video.may_run_ahead:
                continue
            for segment in range(video.next + 1, min(video.segments, video.next + 1 + most)):
                if segment not in video.running and segment not in video.ahead:
                    video.running.add(segment)
                    return Task("ahead", video.item, segment)
        return None

    def _note(self, report: Report) -> None:
        worker, outcome = report.worker, report.outcome
        if worker in self._idle:  # it has nothing to say but that it died
            self._idle.remove(worker)
            self._start(worker)
            return
        task = self._tasks.pop(worker)
        if isinstance(outcome, Died):
            self._note_death(worker, task, outcome.reason)
            return
        if isinstance(outcome, Failed) and outcome.fatal:
            self._stop(outcome.sentence, outcome.exit_code)
            return
        self._idle.append(worker)
        if task is None:
            self._quick_deaths = 0
            if isinstance(outcome, Ready):
                self._manifest.begin(self._head(outcome.facts))
                self._tell("ready", {"worker": worker})
            return
        self._note_outcome(task, outcome)

    def _note_death(self, worker: int, task: Task | None, reason: str) -> None:
        if task is None:
            self._quick_deaths += 1
            if self._quick_deaths > _QUICK_DEATHS * self._count:
                self._stop(f"workers cannot be started: {reason}", 1)
                return
        else:
            self._tell("worker_died", {"source": task.item.source, "reason": reason})
            self._try_again(task, reason)
        self._start(worker)

    def _try_again(self, task: Task, reason: str) -> None:
        self.totals.retries += 1
        self._attempts[task.key] += 1
        video = self._videos.get(task.item.id)
        if video is not None:
            video.running.discard(task.segment)
        if self._attempts[task.key] <= self._retries:
            if task.kind == "start":
                self._again.append(task)
        elif task.kind == "ahead" and video is not None:
            video.may_run_ahead = False
        else:
            times = self._attempts[task.key]
            self._fail(task.item, f"{task.item.source}: {reason}, {times} times in a row")

    def _note_outcome(self, task: Task, outcome: Outcome) -> None:
        video = self._videos.get(task.item.id)
        if video is not None:
            video.running.discard(task.segment)
        if isinstance(outcome, Failed):
            if task.kind == "ahead" and video is not None:
                video.may_run_ahead = False  # in its turn the segment says what is wrong
            else:
                self._fail(task.item, outcome.sentence)
        elif isinstance(outcome, Done):
            self._note_done(task, outcome)
        elif isinstance(outcome, Split):
            self._videos[task.item.id] = _Video(
                task.item, outcome.segments, outcome.done, task.known, set(outcome.ahead)
            )
        elif isinstance(outcome, StartOver):
            known = task.known if video is None else video.known
            self._videos.pop(task.item.id, None)
            self._tell("started_over", {"source": task.item.source, "reason": outcome.reason})
            again = Task("start", task.item, known=known)
            self._try_again(again, outcome.reason)
        elif isinstance(outcome, SegmentDone) and video is not None:
            self.totals.frames += outcome.frames
            if task.kind == "ahead":
                video.ahead.add(task.segment)
            else:
                video.next += 1
                video.ahead.discard(task.segment)
                self._tell(
                    "segment",
                    {
                        "source": task.item.source,
                        "frames": outcome.frames,
                        "segment": task.segment,
                        "segments": video.segments,
                    },
                )

    def _note_done(self, task: Task, outcome: Done) -> None:
        self._videos.pop(task.item.id, None)
        record = dict(outcome.record)
        if record.get("unchanged") and task.known is not None:
            self.totals.skipped += 1
            self._tell("skipped", {"source": task.item.source, "output": task.item.output})
            return
        self.totals.done += 1
        self.totals.frames += outcome.frames
        self._manifest.add(record)
        self._work.record(task.item.id).unlink(missing_ok=True)
        self._tell("done", {**record, "new_frames": outcome.frames})

    def _fail(self, item: Item, sentence: str) -> None:
        self._videos.pop(item.id, None)
        self.totals.failures[item.source] = sentence
        self._tell("failed", {"source": item.source, "error": sentence})
        most = self._max_failures
        if most is not None and len(self.totals.failures) > most:
            self._stop(f"more than {most} sources failed (--max-failures)", 1)

    def _stop(self, sentence: str, exit_code: int) -> None:
        self.totals.stopped, self.totals.exit_code = sentence, exit_code

"""A worker: a model in a session, and the tasks that it is given."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from depthrt.errors import DepthrtError, SourceError, WriteError
from depthrt.files.file_hash import file_sha256
from depthrt.jobs.process_priority import prefer_throughput
from depthrt.model.depth_model import DepthModel
from depthrt.model.providers import candidates
from depthrt.model.session import import_onnxruntime
from depthrt.sinks.open import Output
from depthrt.sources.base import Selection
from depthrt.sources.images import IMAGE_SUFFIXES
from depthrt.sources.video import VideoSource
from depthrt.system import cpu_features
from depthrt.system.cpu_cores import usable_cores
from depthrt.system.process_settings import in_own_process
from depthrt_archives.plan.remote import fetched, is_remote, remote_stamp
from depthrt_archives.plan.seams import find_seams
from depthrt_archives.record.work_folder import ItemFolder, Plan, WorkFolder
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
from depthrt_archives.work.commit import check_place, commit, finished_record
from depthrt_archives.work.parts import MOST_PENDING_BYTES, pending_bytes
from depthrt_archives.work.segments import Segments
from depthrt_archives.work.streaming import run_whole

_PACKAGES = ("depthrt", "onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "av", "numpy")


class Worker:
    """Does tasks with a model of its own.

    Args:
        options: what decides the outputs, and how they are computed.

    Raises:
        DepthrtError: the model cannot be used here.
    """

    def __init__(self, options: BatchOptions) -> None:
        self._options = options
        in_own_process(prefer_throughput)
        cores = min(options.cores, usable_cores())
        provider = options.provider
        if provider == "auto":
            provider = candidates("auto", import_onnxruntime().get_available_providers())[0]
        on_cpu = provider == "cpu"
        # One thread an inference, and never what was tuned for one of several machines: the last
        # digits of depth may differ by either.
        self.model = DepthModel.load(
            options.model,
            provider=provider,
            threads=1 if on_cpu else None,
            objective="throughput",
            parallel=cores if on_cpu else 1,
        )
        self._work = WorkFolder(options.out)
        self._segments = Segments(options, self.model)

    def ready(self) -> Ready:
        """What the outputs of this worker are made by."""
        versions: dict[str, str] = {}
        for name in _PACKAGES:
            try:
                versions[name] = version(name)
            except PackageNotFoundError:
                continue
        return Ready(
            {
                "model": self.model.spec.name,
                "model_sha256": self.model.sha256(),
                "provider": self.model.provider,
                "processor": cpu_features.name(),
                "system": f"{platform.system()} {platform.machine()}",
                "versions": versions,
            }
        )

    def do(self, task: Task) -> Outcome:
        """Do a task; whatever goes wrong with it is an outcome, too."""
        try:
            if task.kind == "start":
                with _local(task.item) as (path, stamp):
                    return self._start(task, path, stamp)
            folder = self._work.item(task.item.id)
            plan = folder.read_plan()
            if plan is None:
                return StartOver("how it is cut is not known any more")
            with _local(task.item) as (path, stamp):
                if stamp != plan.stamp:
                    return StartOver("the file was changed")
                return self._segment(task, folder, plan, path)
        except (WriteError, MemoryError) as error:
            if isinstance(error, WriteError) and not self._work.item(task.item.id).path.exists():
                return StartOver("another worker has finished it meanwhile")
            return Failed(f"{task.item.source}: {error or 'out of memory'}", fatal=True)
        except DepthrtError as error:
            said = str(error)
            name = Path(task.item.source).name
            return Failed(said if name in said else f"{name}: {said}", exit_code=error.exit_code)
        except Exception as error:
            return Failed(f"{task.item.source}: {type(error).__name__}: {error}")

    def _segment(self, task: Task, folder: ItemFolder, plan: Plan, path: Path) -> Outcome:
        if task.kind == "ahead":
            return self._segments.ahead(folder, plan, path, task.segment)
        outcome = self._segments.run(folder, plan, path, task.segment)
        if not isinstance(outcome, SegmentDone):
            return outcome
        if _stamp(task.item.source) != plan.stamp:
            return StartOver("the file was changed while it was read")
        if task.segment < len(plan.seams):
            return outcome
        return self._finish(task, folder, plan, path, outcome.frames)

    def _start(self, task: Task, path: Path, stamp: tuple[Any, ...]) -> Outcome:
        item = task.item
        record = finished_record(self._work, item, self._options.out)
        if record is not None and tuple(record["input"]["stamp"]) == stamp:
            return Done(record)
        check_place(task, self._options)
        folder = self._work.item(item.id)
        plan = folder.read_plan()
        if plan is not None and plan.stamp == stamp:
            if plan.seams:
                return self._segments.resumed(folder, plan)
            return self._whole(task, folder, plan, path)
        sha256 = file_sha256(path)
        if task.known is not None and task.known["sha256"] == sha256:
            return Done({"id": item.id, "unchanged": True, "stamp": list(stamp)})
        folder.discard()
        seams, note = self._seams(path)
        plan = Plan(stamp, sha256, tuple(seams), (note,) if note else ())
        if seams:
            folder.write_plan(plan)
            return Split(len(seams) + 1)
        return self._whole(task, folder, plan, path)

    def _seams(self, path: Path) -> tuple[list[Any], str]:
        options = self._options
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return [], ""
        seams, note = find_seams(path, options.segment_s)
        if seams and options.view != "depth":
            with closing(VideoSource(str(path), Selection())) as video:
                info = video.info
            if pending_bytes(options, info) > MOST_PENDING_BYTES:
                return [], "it is not cut: its pictures are too large to be handed over"
        return list(seams), note

    def _whole(self, task: Task, folder: ItemFolder, plan: Plan, path: Path) -> Outcome:
        """Do a source as one."""
        folder.make()
        suffix = Path(task.item.output).suffix if self._options.form != "png" else ""
        target = Output(folder.whole.with_suffix(suffix), is_folder=not suffix)
        try:
            facts = run_whole(path, target, self._options, self.model)
        except DepthrtError as error:
            if not isinstance(error, WriteError):
                folder.discard()
            raise
        if _stamp(task.item.source) != plan.stamp:
            return StartOver("the file was changed while it was read")
        notes = (*plan.notes, *facts.notes)
        record = commit(
            self._work, task, target.path, replace(plan, notes=notes), facts, self._options
        )
        return Done(record, facts.frames)

    def _finish(
        self, task: Task, folder: ItemFolder, plan: Plan, path: Path, frames: int
    ) -> Outcome:
        target, facts = self._segments.join(folder, plan, path)
        notes = (*plan.notes, *facts.notes)
        record = commit(self._work, task, target, replace(plan, notes=notes), facts, self._options)
        return Done(record, frames)


def _stamp(source: str) -> tuple[Any, ...]:
    """What tells that a source is another one than before.

    Raises:
        SourceError: it is not there.
    """
    if is_remote(source):
        return tuple(remote_stamp(source))
    try:
        facts = Path(source).stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"{source} cannot be read ({reason})") from error
    return facts.st_size, facts.st_mtime_ns


@contextmanager
def _local(item: Item) -> Iterator[tuple[Path, tuple[Any, ...]]]:
    """The source as a file of this machine, and its stamp.

    Raises:
        SourceError: it is not there.
    """
    stamp = _stamp(item.source)
    if is_remote(item.source):
        with fetched(item.source, list(stamp)) as path:
            yield path, stamp
    else:
        yield Path(item.source), stamp

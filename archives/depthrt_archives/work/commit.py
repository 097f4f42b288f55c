"""Putting a finished output in its place, once, with its record."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from depthrt.errors import DepthrtError, TargetError, WriteError
from depthrt.files.atomic_write import rename_new
from depthrt.files.file_hash import file_sha256
from depthrt.files.json_file import read_json, write_json
from depthrt.sinks.frame_folder import INDEX_FILE
from depthrt_archives.record.work_folder import Plan, WorkFolder
from depthrt_archives.tasks import BatchOptions, Item, Task
from depthrt_archives.work.streaming import Facts


def output_sha256(path: Path) -> str:
    """SHA-256 of an output; of a folder that of its index, which has checksums of its files.

    Raises:
        OSError: it cannot be read.
    """
    return file_sha256(path / INDEX_FILE if path.is_dir() else path)


def check_place(task: Task, options: BatchOptions) -> None:
    """Refuse a place that something else has, before any work is done.

    Raises:
        TargetError: there is something that this job has not made.
    """
    target = options.out / task.item.output
    if task.known is None and not options.overwrite and target.exists():
        raise _taken(target)


def finished_record(work: WorkFolder, item: Item, out: Path) -> dict[str, Any] | None:
    """The record of an output that is in its place, but not in the manifest yet."""
    try:
        record = dict(read_json(work.record(item.id)))
        if output_sha256(out / record["output"]) == record["output_sha256"]:
            return record
    except (DepthrtError, OSError, KeyError, TypeError, ValueError):
        pass
    return None


def commit(
    work: WorkFolder, task: Task, made: Path, plan: Plan, facts: Facts, options: BatchOptions
) -> Mapping[str, Any]:
    """Write the record of an output, put it in its place and remove what is left of the work.

    Args:
        work: the folder of unfinished work.
        task: its ``known`` is the record that may be replaced.
        made: the finished output.
        plan: of which bytes it was made.
        facts: what is to be said of it.
        options: where it goes.

    Returns:
        The record.

    Raises:
        TargetError: something else is in its place.
        WriteError: it cannot be put there.
    """
    item = task.item
    target = options.out / item.output
    sha256 = output_sha256(made)
    record = {
        "id": item.id,
        "source": item.source,
        "input": {"stamp": list(plan.stamp), "sha256": plan.sha256},
        "output": item.output,
        "output_sha256": sha256,
        "frames": facts.frames,
        "lost": facts.lost,
        "clamped": facts.clamped,
        "notes": list(plan.notes),
    }
    try:
        work.record(item.id).parent.mkdir(exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_json(work.record(item.id), record, overwrite=True)
        _place(made, target, sha256, replace=options.overwrite or task.known is not None)
    except DepthrtError:
        raise
    except OSError as error:
        raise WriteError(f"{target} cannot be written ({error.strerror or error})") from error
    work.item(item.id).discard()
    return record


def _place(made: Path, target: Path, sha256: str, *, replace: bool) -> None:
    if not replace and target.exists() and output_sha256_or_none(target) == sha256:
        return  # another worker was faster with the same task
    try:
        if made.is_dir():
            if replace and target.is_dir():
                shutil.rmtree(target)
            if target.exists():
                raise FileExistsError
            made.rename(target)
        elif replace and not target.is_dir():
            os.replace(made, target)  # noqa: PTH105
        else:
            rename_new(made, target)
    except FileExistsError as error:
        raise _taken(target) from error


def _taken(target: Path) -> TargetError:
    return TargetError(f"{target} exists: choose another folder, or --overwrite")


def output_sha256_or_none(path: Path) -> str | None:
    """SHA-256 of an output; None where it cannot be read."""
    try:
        return output_sha256(path)
    except OSError:
        return None

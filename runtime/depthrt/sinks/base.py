"""What every sink does, and how its file gets into place."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Protocol

from depthrt.errors import TargetError, WriteError
from depthrt.pipeline import Result


class Sink(Protocol):
    """A place for results."""

    def write(self, result: Result) -> bool:
        """Take a result; False when no more are wanted (a window that was closed).

        Raises:
            WriteError: the place failed, for instance a full disk.
        """

    def close(self, *, complete: bool, cut_short: bool = False) -> Path | None:
        """Finish what was written and say where it is; None when there is nothing.

        When ``complete`` it is put in its place, else it stays beside it under a partial name,
        as well as it could be finished. ``cut_short``: the source had more to give.

        Raises:
            WriteError: it could not be finished or put in place; closing it once more, not
                complete, says what is left of it.
        """


def partial_name(target: Path) -> Path:
    """Where a target is written until it is whole: beside it, so that a rename puts it in place."""
    return target.with_name(f"{target.stem}.partial{target.suffix}")


def left_over(partial: Path) -> Path | None:
    """A file that could not be finished, if anything of it reached the disk."""
    return partial if partial.is_file() and partial.stat().st_size else None


def check_target(target: Path, *, overwrite: bool, source: Path | None = None) -> None:
    """Make sure that a file or folder can be written, before any work is done.

    Raises:
        TargetError: it exists and may not be overwritten, is the source, or its folder is not
            there or cannot be written.
    """
    try:
        _check_source(target, source)
        if target.exists() and not overwrite:
            raise TargetError(f"{target} exists: give another output or --overwrite")
        folder = target.parent
        if not folder.is_dir():
            raise TargetError(f"there is no folder {folder} to write {target.name} to")
        # Trying is the one sure way: permission bits say nothing of a read-only or special place.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except TargetError:
        raise
    except OSError as error:
        where = str(target)[:200]
        raise TargetError(f"{where} cannot be written ({error.strerror or error})") from error


def _check_source(target: Path, source: Path | None) -> None:
    """Refuse a target whose writing or replacing would destroy the source."""
    if source is None:
        return
    for place in (target, partial_name(target)):
        if place.exists() and place.samefile(source):
            what = "the source itself" if place is target else f"written by way of {place.name}"
            raise TargetError(f"{target} is {what}: choose another output")
    if target.is_dir() and target.resolve() in source.resolve().parents:
        raise TargetError(f"{target} holds the source: choose another output")


def put_in_place(partial: Path, target: Path) -> Path:
    """Rename what is whole to where it belongs, replacing what stood there.

    Raises:
        WriteError: it stays under its partial name.
    """
    try:
        if target.is_dir():
            shutil.rmtree(target)
        partial.replace(target)
    except OSError as error:
        reason = error.strerror or error
        raise WriteError(f"{partial} could not be renamed to {target} ({reason})") from error
    return target

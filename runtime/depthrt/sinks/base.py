"""What every sink does, and how its file gets into place."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
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
    """Where a target is written until it is whole: beside it, so that a rename puts it in place.

    A disk that is mounted there cannot be replaced: it is written to, then moved up within it.
    """
    name = f"{target.stem}.partial{target.suffix}"
    return target / name if target.is_mount() else target.with_name(name)


def left_over(partial: Path) -> Path | None:
    """A file that could not be finished, if anything of it reached the disk."""
    return partial if partial.is_file() and partial.stat().st_size else None


def check_target(
    target: Path, *, overwrite: bool, sources: Sequence[Path] = (), folder: bool = False
) -> None:
    """Make sure that a file or folder can be written, before any work is done.

    Args:
        target: the file or folder.
        overwrite: what stands there may be replaced.
        sources: files and folders that must survive.
        folder: a folder is to be written, and may take the place of one.

    Raises:
        TargetError: it exists and may not be overwritten, is a source, or its folder is not
            there or cannot be written.
    """
    try:
        _check_sources(target, sources)
        if target.is_dir() and not folder:
            raise TargetError(f"{target} is a folder: choose another output")
        if target.exists() and not overwrite:
            raise TargetError(f"{target} exists: give another output or --overwrite")
        place = partial_name(target).parent
        if not place.is_dir():
            raise TargetError(f"there is no folder {place} to write {target.name} to")
        # Trying is the one sure way: permission bits say nothing of a read-only or special place.
        with tempfile.TemporaryFile(dir=place):
            pass
    except TargetError:
        raise
    except OSError as error:
        where = str(target)[:200]
        raise TargetError(f"{where} cannot be written ({error.strerror or error})") from error


def _check_sources(target: Path, sources: Sequence[Path]) -> None:
    """Refuse a target whose writing or replacing would destroy a source."""
    for place in (target, partial_name(target)):
        if place.exists() and any(place.samefile(source) for source in sources if source.exists()):
            what = "the source itself" if place is target else f"written by way of {place.name}"
            raise TargetError(f"{target} is {what}: choose another output")
    if target.is_dir() and any(target.resolve() in source.resolve().parents for source in sources):
        raise TargetError(f"{target} holds the source: choose another output")


def put_in_place(partial: Path, target: Path) -> Path:
    """Rename what is whole to where it belongs, replacing what stood there.

    Raises:
        WriteError: it stays under its partial name.
    """
    try:
        if partial.parent == target:
            _move_up(partial)
        else:
            if target.is_dir() and partial.is_dir():
                shutil.rmtree(target)
            partial.replace(target)
    except OSError as error:
        reason = error.strerror or error
        raise WriteError(f"{partial} could not be renamed to {target} ({reason})") from error
    return target


def _move_up(partial: Path) -> None:
    """Replace what else is in a folder by what a folder in it holds."""
    for old in partial.parent.iterdir():
        if old != partial:
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    for new in partial.iterdir():
        new.replace(partial.parent / new.name)
    partial.rmdir()

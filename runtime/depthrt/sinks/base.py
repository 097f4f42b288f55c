"""What every sink does, and which targets it may write to."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from depthrt.errors import TargetError
from depthrt.files.atomic_write import real_target
from depthrt.result import Result


class Sink(Protocol):
    """A place for results."""

    def write(self, result: Result) -> bool:
        """Take a result; False when no more are wanted (a window that was closed).

        Raises:
            WriteError: the place failed, for instance a full disk.
        """

    def close(self, *, complete: bool, cut_short: bool = False) -> Path | None:
        """Finish what was written and say where it is; None when there is nothing.

        When ``complete`` it is put in its place, else it stays beside it under a name of its own,
        as well as it could be finished. ``cut_short``: the source had more to give.

        Raises:
            TargetError: something came to its place meanwhile that may not be replaced.
            WriteError: it could not be finished or put in place. In both cases closing it once
                more, not complete, says where it is.
        """


def check_target(
    target: Path,
    *,
    overwrite: bool,
    sources: Sequence[Path] = (),
    read: Sequence[Path] = (),
    folder: bool = False,
) -> None:
    """Make sure that a file or folder can be written, before any work is done.

    Args:
        target: the file or folder; of a symbolic link, what it points to.
        overwrite: what stands there may be replaced.
        sources: files and folders that must survive.
        read: folders in which every file must survive, however deep.
        folder: a folder is to be written, and may take the place of one.

    Raises:
        TargetError: it exists and may not be overwritten, is a source, or its folder is not
            there or cannot be written.
    """
    try:
        real = real_target(target)
        _check_sources(target, real, sources)
        if real.is_dir() and not folder:
            raise TargetError(f"{target} is a folder: choose another output")
        if real.exists():
            _check_existing(target, real, overwrite=overwrite, read=read, folder=folder)
        place = real if folder and real.is_mount() else real.parent
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


def _check_existing(
    target: Path, real: Path, *, overwrite: bool, read: Sequence[Path], folder: bool
) -> None:
    if not folder and not real.is_file():
        raise TargetError(f"{target} is no regular file: choose another output")
    if not overwrite:
        raise TargetError(f"{target} exists: give another output or --overwrite")
    above = set(real.resolve().parents)
    for place in read:
        if place.is_dir() and place.resolve() in above:
            raise TargetError(f"{target} stands in {place}, which is read: choose another output")


def _check_sources(target: Path, real: Path, sources: Sequence[Path]) -> None:
    """Refuse a target whose writing or replacing would take away a source."""
    known = set(_identities(sources))
    if not set(_identities([real])).isdisjoint(known):
        raise TargetError(f"{target} is the source itself: choose another output")
    if not real.is_dir():
        return
    inside = {Path(os.path.realpath(source.parent)) for source in sources}
    inside |= {Path(os.path.realpath(source)).parent for source in sources if source.is_symlink()}
    resolved = real.resolve()
    holds = any(resolved in (place, *place.parents) for place in inside)
    # A source may be a hard link to a file in the target, too.
    if holds or not set(_identities(real.iterdir())).isdisjoint(known):
        raise TargetError(f"{target} holds the source: choose another output")


def _identities(paths: Iterable[Path]) -> Iterable[tuple[int, int]]:
    """Device and inode of those that are there: whatever a file is called, they are the same."""
    for path in paths:
        with suppress(OSError):
            facts = path.stat()
            yield facts.st_dev, facts.st_ino

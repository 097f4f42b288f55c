"""What every sink has, which targets it may write to, and the error of one that failed."""

from __future__ import annotations

import errno
import os
import tempfile
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from depthrt.errors import TargetError, WriteError
from depthrt.files.atomic_write import real_target
from depthrt.result import Result

BINARY: int = getattr(os, "O_BINARY", 0)
"""Opens a file without changing line ends, as Windows else does."""

_DISK_IS_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


@dataclass(frozen=True)
class SinkWarnings:
    """What whoever uses an output should know of it.

    - ``clamped``: how many depth values lay outside the 16-bit range, and were written as its
      nearest end;
    - ``assumed``: what was assumed of a point cloud's camera and scale, or of the size of pictures,
      as a sentence; else empty.
    """

    clamped: int = 0
    assumed: str = ""


class Sink(Protocol):
    """A place that results are written to: a file, a folder, a pipe, a window, a web page.

    A sink is closed once it takes no more results. A class of sinks that derives from this one and
    has nothing to warn of need not define ``warnings``.

    ``paused_s``: how long it waited, in all, to show a recording no faster than it was recorded.
    """

    paused_s: float = 0.0

    @abstractmethod
    def write(self, result: Result) -> bool:
        """Write one result.

        Returns:
            Whether more results are wanted: no longer after a window was closed, or the reader of
            a pipe has gone.

        Raises:
            WriteError: it cannot be written, for instance as the disk is full.
        """

    @abstractmethod
    def close(self, *, complete: bool, cut_short: bool = False) -> Path | None:
        """Write the end of the output.

        Args:
            complete: rename the output to its target; else it stays beside it, under a name of its
                own, and is as usable as can be.
            cut_short: the source had more frames to give.

        Returns:
            Where the output is; None if there is none.

        Raises:
            TargetError: something that may not be replaced came to the target meanwhile.
            WriteError: the end cannot be written, or the output cannot be renamed. After either
                error, closing once more with ``complete=False`` says where the output is.
        """

    def warnings(self) -> SinkWarnings:
        """What whoever uses the output should know, so far."""
        return SinkWarnings()


def write_error(name: str | Path, error: Exception) -> WriteError:
    """The error of an output that cannot be written, with the reason and what to do."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    advice = "choose another output with -o"
    if is_disk_full(error):
        advice = "free space or choose another disk"
    return WriteError(f"writing {Path(name).name} failed ({reason}): {advice}")


def is_disk_full(error: Exception) -> bool:
    """Whether an output cannot be written because there is no room for it."""
    return getattr(error, "errno", None) in _DISK_IS_FULL


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
        target: the file or folder; a symbolic link stands for what it points to.
        overwrite: an existing target may be replaced.
        sources: files and folders that must not be replaced.
        read: folders in which no file may be replaced, at whatever depth.
        folder: the target is a folder, and may replace a folder.

    Raises:
        TargetError: the target exists and may not be overwritten, or is a source; or its folder
            does not exist or cannot be written to.
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
        # Only trying is sure: permission bits say nothing of a read-only or special file system.
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
    """Refuse a target if writing or replacing it would destroy a source."""
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
    """Device and inode of each path that exists: the same file has the same, by any name."""
    for path in paths:
        with suppress(OSError):
            status = path.stat()
            yield status.st_dev, status.st_ino

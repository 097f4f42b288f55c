"""What every sink does, and how its file gets into place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Protocol

from depthrt.errors import TargetError
from depthrt.pipeline import Result


class Sink(Protocol):
    """A place for results."""

    def write(self, result: Result) -> bool:
        """Take a result; False when no more are wanted (a window that was closed).

        Raises:
            WriteError: the place failed, for instance a full disk.
        """

    def close(self, *, complete: bool) -> Path | None:
        """Finish what was written and say where it is; None when there is nothing.

        When ``complete`` it is put in its place, else it stays beside it under a partial name.

        Raises:
            WriteError: it could not be finished or put in place.
        """


def partial_name(target: Path) -> Path:
    """Where a target is written until it is whole: beside it, so that a rename puts it in place."""
    return target.with_name(f"{target.stem}.partial{target.suffix}")


def check_target(target: Path, *, overwrite: bool, source: Path | None = None) -> None:
    """Make sure that a file or folder can be written, before any work is done.

    Raises:
        TargetError: it exists and may not be overwritten, is the source, or its folder is not
            there or cannot be written.
    """
    if source is not None and target.exists() and target.samefile(source):
        raise TargetError(f"{target} is the source itself: choose another output")
    if target.exists() and not overwrite:
        raise TargetError(f"{target} exists: give another output or --overwrite")
    folder = target.parent
    if not folder.is_dir():
        raise TargetError(f"there is no folder {folder} to write {target.name} to")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise TargetError(f"the folder {folder} cannot be written")


def put_in_place(partial: Path, target: Path) -> Path:
    """Rename what is whole to where it belongs, replacing what stood there."""
    if target.is_dir():
        shutil.rmtree(target)
    partial.replace(target)
    return target

"""The folder ``.depthrt-batch`` among the outputs: what is begun, and not done."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

from depthrt.errors import DepthrtError, TargetError, UsageError
from depthrt.files.json_file import read_json, write_json

NAME = ".depthrt-batch"
_DIGITS = 5


@dataclass(frozen=True)
class ItemFolder:
    """Where the unfinished work on one source lies."""

    path: Path

    def make(self) -> None:
        """Make the folder, if it is not there."""
        self.path.mkdir(parents=True, exist_ok=True)

    def discard(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def memory(self, segment: int) -> Path:
        """What a segment hands over, which says that it is done."""
        return self.path / f"memory-{segment:0{_DIGITS}d}"

    def part(self, segment: int, suffix: str) -> Path:
        """The part of the output that a segment writes."""
        return self.path / f"part-{segment:0{_DIGITS}d}{suffix}"

    def ahead(self, segment: int) -> Path:
        """The depth of a segment whose network was run ahead."""
        return self.path / f"ahead-{segment:0{_DIGITS}d}"

    @property
    def whole(self) -> Path:
        """Name of the finished output, before its suffix, until it is in its place."""
        return self.path / "whole"

    def write_plan(self, plan: Plan) -> None:
        """Keep how the source is cut."""
        self.make()
        content = {
            "stamp": list(plan.stamp),
            "sha256": plan.sha256,
            "seams": [str(seam) for seam in plan.seams],
            "notes": list(plan.notes),
        }
        write_json(self.path / "plan.json", content, overwrite=True)

    def read_plan(self) -> Plan | None:
        """How the source is cut; None where it was not begun."""
        path = self.path / "plan.json"
        if not path.is_file():
            return None
        try:
            content = read_json(path)
            seams = tuple(Fraction(seam) for seam in content["seams"])
            return Plan(tuple(content["stamp"]), content["sha256"], seams, tuple(content["notes"]))
        except (DepthrtError, KeyError, TypeError, ValueError):
            return None


@dataclass(frozen=True)
class Plan:
    """How a long video is cut.

    - ``stamp``, ``sha256``: which bytes it had;
    - ``seams``: times in seconds at which segments after the first begin;
    - ``notes``: for the record of the output.
    """

    stamp: tuple[Any, ...]
    sha256: str
    seams: tuple[Fraction, ...]
    notes: tuple[str, ...] = ()

    def bounds(self, segment: int) -> tuple[Fraction | None, Fraction | None]:
        """Begin and end of a segment in seconds; None: those of the file."""
        ends: Sequence[Fraction | None] = [None, *self.seams, None]
        return ends[segment], ends[segment + 1]


class WorkFolder:
    """The folder of all unfinished work.

    Args:
        out: the folder of outputs.
    """

    def __init__(self, out: Path) -> None:
        self.path = out / NAME
        self._lock: IO[bytes] | None = None
        self._made: list[Path] = []  # folders that were not there before, the innermost first

    def item(self, name: str) -> ItemFolder:
        """The folder of one source."""
        return ItemFolder(self.path / "items" / name)

    def record(self, name: str) -> Path:
        """The record of an output that is placed, or about to be."""
        return self.path / "done" / f"{name}.json"

    def begin(self, settings: Mapping[str, Any], *, overwrite: bool) -> Mapping[str, Any] | None:
        """Make the folder and lock it; what another job has left is refused.

        Args:
            settings: what decides the outputs.
            overwrite: do all anew where the settings are others.

        Returns:
            The settings of outputs that are there, where these are to be made anew; else None.

        Raises:
            TargetError: the folder cannot be made.
            UsageError: another process works on this folder, or it holds outputs of other settings.
        """
        inner = self.path / "items"
        self._made = [path for path in (inner, *inner.parents) if not path.exists()]
        try:
            inner.mkdir(parents=True, exist_ok=True)
            (self.path / "done").mkdir(exist_ok=True)
            self._lock = self._locked()
        except OSError as error:
            folder = self.path.parent
            raise TargetError(f"the folder {folder} cannot be made ({error.strerror})") from error
        try:
            return self._check(settings, overwrite=overwrite)
        except BaseException:
            self.end()
            raise

    def _check(self, settings: Mapping[str, Any], *, overwrite: bool) -> Mapping[str, Any] | None:
        file = self.path / "settings.json"
        replaced = None
        if file.is_file():
            before = read_json(file)
            differing = sorted(
                key for key in {*before, *settings} if before.get(key) != settings.get(key)
            )
            if differing and not overwrite and self._is_begun():
                raise UsageError(
                    f"{self.path.parent} holds outputs with another {differing[0]} "
                    f"({before.get(differing[0])}, now {settings.get(differing[0])}): choose "
                    "another folder, or --overwrite to do all of them again"
                )
            if differing:
                replaced = before if self._is_begun() else None
                for name in ("items", "done"):
                    shutil.rmtree(self.path / name, ignore_errors=True)
                    (self.path / name).mkdir()
                with suppress(OSError):
                    (self.path.parent / "manifest.jsonl").unlink()
        write_json(file, dict(settings), overwrite=True)
        return replaced

    def _is_begun(self) -> bool:
        """Whether there is an output, or work on one."""
        return (self.path.parent / "manifest.jsonl").exists() or any(
            (self.path / "items").iterdir()
        )

    def end(self) -> None:
        """Give up the lock; remove the folders that :meth:`begin` made, if nothing was begun."""
        if self._lock is None:
            return
        is_new = self.path in self._made and not self._is_begun()
        with suppress(OSError):  # what is not empty stays
            if is_new:
                (self.path / "done").rmdir()
                (self.path / "settings.json").unlink(missing_ok=True)
                (self.path / "lock").unlink()
        self._lock.close()
        self._lock = None
        with suppress(OSError):
            for folder in self._made if is_new else ():
                folder.rmdir()

    def _locked(self) -> IO[bytes]:
        file = (self.path / "lock").open("ab")
        if os.name == "posix":
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                file.close()
                raise UsageError(
                    f"another depthrt batch writes to {self.path.parent}: wait for it, or choose "
                    "another folder"
                ) from error
        return file

"""Folders written beside their place under a fresh name, then renamed into it.

``out`` is called ``out.partial-3fa2c1`` while it is made, as files are in
:mod:`depthrt.files.atomic_write`. Where a disk is mounted at the target, it is made in there, and
its files are moved up.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from depthrt.errors import TargetError, WriteError
from depthrt.files.atomic_write import (
    came_meanwhile,
    create_fresh,
    not_renamed,
    real_target,
    rename_new,
)
from depthrt.files.folder_index import (
    FolderKind,
    Stamps,
    entries_of,
    fingerprint,
    own_entries,
    seal,
)


class FolderDraft:
    """A folder while it is made: beside its target, or in it where a disk is mounted there.

    Args:
        target: where it belongs; of a symbolic link, what it points to. An empty folder that stands
            there already is replaced.
        kind: what is written.
        replaces: what may be replaced where ``overwrite`` is true.
        overwrite: a folder of ours that stands there may be replaced.

    Raises:
        TargetError: a symbolic link that leads in a circle, or a folder that is not ours.
    """

    def __init__(
        self, target: Path, kind: FolderKind, replaces: Sequence[FolderKind], *, overwrite: bool
    ) -> None:
        self._named, self._target, self._overwrite = target, real_target(target), overwrite
        self._kind, self._replaces = kind, replaces
        self._mounted = self._target.is_mount()
        self._path: Path | None = None
        self._aside: Path | None = None
        self._files: dict[str, str] = {}
        self._before: tuple[int, Stamps] | None = None
        if self._target.is_dir():
            entries = own_entries(self._target, replaces) if overwrite else entries_of(self._target)
            self._before = self._target.stat().st_ino, entries

    @property
    def path(self) -> Path:
        """Where it is made; the target's own name until it is begun, and once it is in place."""
        return self._path or self._named

    def create(self) -> None:
        """Create the folder, with nothing in it but the folders of its kind.

        Raises:
            OSError: it cannot be created.
        """
        self._path = create_fresh(self._target, "partial", folder=True, inside=self._mounted)
        for name in self._kind.folders:
            (self._path / name).mkdir()

    def write(self, name: str, content: bytes) -> None:
        """Write a file; one that cannot be written as a whole is removed.

        Raises:
            FileExistsError: a file of that name is there.
            OSError: it cannot be written.
        """
        path = self.path / name
        path.touch(exist_ok=False)
        try:
            path.write_bytes(content)
        except BaseException:
            path.unlink()
            raise
        self._files[name] = fingerprint(content)

    def remove(self, name: str) -> None:
        """Remove a file that was written."""
        del self._files[name]
        (self.path / name).unlink()

    def rename(self, old: str, new: str) -> None:
        """Give a file that was written another name, which none has."""
        rename_new(self.path / old, self.path / new)
        self._files[new] = self._files.pop(old)

    def finish(self, content: Mapping[str, Any]) -> None:
        """Write the index.

        Raises:
            OSError: it cannot be written.
        """
        files = {name: mark for name, mark in self._files.items() if name != self._kind.index}
        self.write(self._kind.index, seal(content, self._kind, files))

    def place(self) -> Path:
        """Rename the finished folder to its target, and give the target.

        Raises:
            TargetError: something came there meanwhile that may not be replaced.
            WriteError: it cannot be renamed. In both cases it stays where it is, which is said.
        """
        path = self._path
        if path is None:
            raise WriteError(f"nothing was written for {self._named}")
        try:
            if self._mounted:
                self._move_up(path)
            else:
                self._rename(path)
        except (FileExistsError, NotADirectoryError, TargetError) as error:
            also = f"; what stood there before is in {self._aside}" if self._aside else ""
            raise TargetError(came_meanwhile(self._named, path) + also) from error
        except OSError as error:
            raise not_renamed(path, self._named, error) from error
        self._path = None
        return self._named

    def kept(self) -> Path | None:
        """Where the unfinished folder is; an empty one is removed."""
        path = self._path
        if path is None or not path.is_dir():
            return None
        try:
            path.rmdir()
        except OSError:  # it holds something
            return path
        self._path = None
        return None

    def discard(self) -> None:
        """Remove what was written, unless it is in its place."""
        path, self._path = self._path, None
        if path is not None:
            _remove(path, [*self._files, *(f"{name}/" for name in self._kind.folders)])

    def _rename(self, path: Path) -> None:
        try:
            self._target.mkdir()  # where nothing is, nothing can come any more
        except FileExistsError:
            if self._was_empty_before():
                _onto_empty(path, self._target)
            elif self._overwrite:
                self._replace(path)
            else:
                raise
            return
        try:
            _onto_empty(path, self._target)
        except BaseException:
            with suppress(OSError):
                self._target.rmdir()
            raise

    def _was_empty_before(self) -> bool:
        return self._before == (self._target.lstat().st_ino, {})

    def _replace(self, path: Path) -> None:
        """Move the old folder aside, look into it once more, and remove it at the very end."""
        if not stat.S_ISDIR(self._target.lstat().st_mode):
            raise FileExistsError
        aside = create_fresh(self._target, "replaced", folder=True)
        try:
            self._target.replace(aside)
            old = self._own(aside)
            self._target.mkdir()
            _onto_empty(path, self._target)
        except BaseException:
            self._restore(aside)
            raise
        _remove(aside, old)

    def _restore(self, aside: Path) -> None:
        """Put the old folder back if it was moved; where another came meanwhile, note its name."""
        try:
            aside.rmdir()
        except OSError:  # it holds what stood at the target
            try:
                _onto_empty(aside, self._target)
            except OSError:
                self._aside = aside

    def _move_up(self, path: Path) -> None:
        """Within a disk mounted at the target; the index, which lists all others, comes last."""
        old = self._own(self._target, skip=f"{path.name}/")
        if old and not self._overwrite:
            raise FileExistsError
        for name in old:
            if not name.endswith("/"):
                (self._target / name).unlink()
        for folder in self._kind.folders:
            (self._target / folder).mkdir(exist_ok=True)
        for name in [*self._files]:
            rename_new(path / name, self._target / name)
        _remove(path, [f"{name}/" for name in self._kind.folders])

    def _own(self, folder: Path, skip: str = "") -> Stamps:
        """The entries of a folder that may be replaced: those looked at before, or all ours."""
        known = {} if self._before is None else self._before[1]
        now = entries_of(folder, {n.rstrip("/") for n in known if n.endswith("/")})
        now.pop(skip, None)
        return now if now == known or not now else own_entries(folder, self._replaces)


def _onto_empty(path: Path, target: Path) -> None:
    """Rename a folder to an empty one; the system refuses where something is in it."""
    try:
        path.rename(target)
    except OSError as error:
        if os.listdir(target):  # noqa: PTH208
            raise FileExistsError from error
        raise


def _remove(folder: Path, names: Iterable[str]) -> None:
    """Remove entries of a folder, then the folder itself; what else is in it stays."""
    for name in sorted(names, key=lambda name: name.endswith("/")):
        with suppress(OSError):
            path = folder / name
            path.rmdir() if name.endswith("/") else path.unlink()
    with suppress(OSError):
        folder.rmdir()

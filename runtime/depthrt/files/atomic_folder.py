"""Folders written beside their target under a fresh name, then renamed to it.

``out`` is called ``out.partial-3fa2c1`` while it is made, as files are in
:mod:`depthrt.files.atomic_write`. A target where a disk is mounted cannot be renamed: the folder is
made inside it, and its files are then moved up.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from depthrt.files.atomic_write import Draft, create_fresh, rename_new
from depthrt.files.folder_index import (
    FolderKind,
    Stamps,
    entries_of,
    fingerprint,
    own_entries,
    seal,
)


class FolderDraft(Draft):
    """A folder while it is made. An empty folder at the target is replaced.

    Args:
        target: where it belongs. Where that is a symbolic link, what it points to is written.
        kind: what is written.
        replaces: the kinds of folders that ``overwrite`` may replace.
        overwrite: a folder at the target that depthrt wrote may be replaced.

    Raises:
        TargetError: a symbolic link that leads in a circle, or a folder that may not be replaced.
    """

    def __init__(
        self, target: Path, kind: FolderKind, replaces: Sequence[FolderKind], *, overwrite: bool
    ) -> None:
        super().__init__(target, overwrite=overwrite)
        self._kind, self._replaces = kind, replaces
        self._is_mount = self._target.is_mount()
        self._files: dict[str, str] = {}  # what was written: name to fingerprint
        self._inode_before: int | None = None
        self._entries_before: Stamps = {}
        if self._target.is_dir():
            self._inode_before = self._target.stat().st_ino
            self._entries_before = (
                own_entries(self._target, replaces) if overwrite else entries_of(self._target)
            )

    @property
    def path(self) -> Path:
        """Where it is made; before :meth:`create` and after :meth:`place` the target."""
        return self._path or self._named

    def create(self) -> None:
        """Create the folder with the inner folders of its kind.

        Raises:
            OSError: it cannot be created.
        """
        self._path = create_fresh(self._target, "partial", folder=True, inside=self._is_mount)
        for name in self._kind.folders:
            (self._path / name).mkdir()

    def write(self, name: str, content: bytes) -> None:
        """Write a file; where that fails, nothing of it stays.

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
        """Give a file that was written a name that no other has."""
        rename_new(self.path / old, self.path / new)
        self._files[new] = self._files.pop(old)

    def finish(self, content: Mapping[str, Any]) -> None:
        """Write the index.

        Raises:
            OSError: it cannot be written.
        """
        files = {name: mark for name, mark in self._files.items() if name != self._kind.index}
        self.write(self._kind.index, seal(content, self._kind, files))

    def kept(self) -> Path | None:
        """Where the unfinished folder is. An empty one is removed: None."""
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
        if self._is_mount:
            self._move_up(path)
            return
        try:
            self._target.mkdir()  # reserves the name
        except FileExistsError:
            if self._was_empty_before():
                _rename_onto_empty(path, self._target)
            elif self._overwrite:
                self._replace(path)
            else:
                raise
            return
        try:
            _rename_onto_empty(path, self._target)
        except BaseException:
            with suppress(OSError):
                self._target.rmdir()
            raise

    def _was_empty_before(self) -> bool:
        return not self._entries_before and self._inode_before == self._target.lstat().st_ino

    def _replace(self, path: Path) -> None:
        """Move the old folder aside, check it once more, and remove it last."""
        if not stat.S_ISDIR(self._target.lstat().st_mode):
            raise FileExistsError
        aside = create_fresh(self._target, "replaced", folder=True)
        try:
            self._target.replace(aside)
            old = self._own(aside)
            self._target.mkdir()
            _rename_onto_empty(path, self._target)
        except BaseException:
            self._restore(aside)
            raise
        _remove(aside, old)

    def _restore(self, aside: Path) -> None:
        """Put the old folder back if it was moved; where that fails, remember where it is."""
        try:
            aside.rmdir()
        except OSError:  # it holds what stood at the target
            try:
                _rename_onto_empty(aside, self._target)
            except OSError:
                self._aside = aside

    def _move_up(self, path: Path) -> None:
        """Move the files up to the mounted target; the index, which lists the others, is last."""
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
        """The entries of a folder that may be replaced: as they were before, or all depthrt's."""
        before = self._entries_before
        now = entries_of(folder, {name.rstrip("/") for name in before if name.endswith("/")})
        now.pop(skip, None)
        return now if now == before or not now else own_entries(folder, self._replaces)


def _rename_onto_empty(path: Path, target: Path) -> None:
    """Rename a folder onto an empty one.

    Raises:
        FileExistsError: the target is not empty, or no folder.
        OSError: it cannot be renamed.
    """
    try:
        path.rename(target)
    except NotADirectoryError as error:
        raise FileExistsError from error
    except OSError as error:
        if os.listdir(target):  # noqa: PTH208
            raise FileExistsError from error
        raise


def _remove(folder: Path, names: Iterable[str]) -> None:
    """Remove entries of a folder, then the folder itself unless something else is in it."""
    for name in sorted(names, key=lambda name: name.endswith("/")):
        with suppress(OSError):
            path = folder / name
            path.rmdir() if name.endswith("/") else path.unlink()
    with suppress(OSError):
        folder.rmdir()

"""Files written beside their target under a fresh name, then renamed to it.

While it is made, ``out.mp4`` is called ``out.partial-3fa2c1.mp4``. It is created exclusively, so
that no other file has the name, and nothing that was not made here is removed. What came to the
target meanwhile is not replaced unless ``overwrite`` was given: the finished file then stays beside
it, and the error names it. :mod:`depthrt.files.atomic_folder` does the same for folders.
"""

from __future__ import annotations

import os
import secrets
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from depthrt.errors import DepthrtError, TargetError, WriteError

_ATTEMPTS = 100
_LONGEST_NAME = 255  # bytes, of the usual file systems


def real_target(target: Path) -> Path:
    """The path to write for a target: what it points to where it is a symbolic link.

    Raises:
        TargetError: a link that leads in a circle.
    """
    if not target.is_symlink():
        return target
    real = Path(os.path.realpath(target))
    if real.is_symlink():
        raise TargetError(f"{target} is a symbolic link that leads in a circle")
    return real


def create_fresh(target: Path, word: str, *, folder: bool = False, inside: bool = False) -> Path:
    """Create an empty file or folder under a name that nothing else has.

    Args:
        target: the output it is for; the new name begins like its name and has its suffix.
        word: the part of the new name that says what it is: ``partial``, ``replaced``.
        folder: create a folder, not a file.
        inside: create it in the folder ``target``, not beside it.

    Raises:
        OSError: it cannot be created.
    """
    stem, suffix = (target.name, "") if folder else (target.stem, target.suffix)
    place = target if inside else target.parent
    for _ in range(_ATTEMPTS):
        ending = f".{word}-{secrets.token_hex(3)}{suffix}"
        room = _LONGEST_NAME - len(os.fsencode(ending))
        path = place / (os.fsdecode(os.fsencode(stem)[:room]) + ending)
        try:
            if folder:
                path.mkdir()
            else:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:
            continue
        return path
    raise FileExistsError(f"no free name beside {target}")


def rename_new(path: Path, target: Path) -> None:
    """Rename a file to a name that nothing has.

    Raises:
        FileExistsError: something has it. Checking and renaming are one step of the system.
        OSError: it cannot be renamed.
    """
    try:
        os.link(path, target, follow_symlinks=False)
    except (FileExistsError, FileNotFoundError):
        raise
    except (OSError, NotImplementedError):  # no hard links here: an empty file reserves the name
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        held = _identity(target)
        try:
            path.replace(target)
        except BaseException:
            with suppress(OSError):
                if _identity(target) == held:
                    target.unlink()
            raise
        return
    with suppress(OSError):
        path.unlink()


class Draft(ABC):
    """An output while it is made, beside its target; a file and a folder are placed alike.

    Args:
        target: where it belongs. Where that is a symbolic link, what it points to is written.
        overwrite: what depthrt wrote there before may be replaced.

    Raises:
        TargetError: a symbolic link that leads in a circle.
    """

    def __init__(self, target: Path, *, overwrite: bool) -> None:
        self._named, self._target, self._overwrite = target, real_target(target), overwrite
        self._path: Path | None = None
        self._aside: Path | None = None  # what stood at the target and could not go back

    def place(self) -> Path:
        """Rename the finished output to its target, and give the target.

        Raises:
            TargetError: something came to the target meanwhile that may not be replaced.
            WriteError: it cannot be renamed. Either error names where the output stays.
        """
        path = self._path
        if path is None:
            raise WriteError(f"nothing was written for {self._named}")
        try:
            self._rename(path)
        except (FileExistsError, TargetError) as error:
            also = f"; what stood there before is in {self._aside}" if self._aside else ""
            raise TargetError(
                f"{self._named} was made or changed by somebody else meanwhile and is left as it "
                f"is: the finished output is in {path}{also}"
            ) from error
        except OSError as error:
            reason = error.strerror or error
            raise WriteError(f"{path} could not be renamed to {self._named} ({reason})") from error
        self._path = None
        return self._named

    @abstractmethod
    def _rename(self, path: Path) -> None:
        """Rename ``path`` to the target.

        Raises:
            FileExistsError, TargetError: something is there that may not be replaced.
            OSError: it cannot be renamed.
        """


class FileDraft(Draft):
    """A file while it is made; ``overwrite`` replaces any regular file. See :class:`Draft`."""

    def __init__(self, target: Path, *, overwrite: bool) -> None:
        super().__init__(target, overwrite=overwrite)
        self._identity: tuple[int, int] | None = None

    def create(self) -> Path:
        """Create the empty file and give its path.

        Raises:
            OSError: it cannot be created.
        """
        path = self._path = create_fresh(self._target, "partial")
        self._identity = _identity(path)
        return path

    def kept(self) -> Path | None:
        """Where the unfinished file is. One that nothing was written to is removed: None."""
        path = self._path
        try:
            if path is not None and path.stat().st_size:
                return path
        except OSError:
            return None
        self.discard()
        return None

    def discard(self) -> None:
        """Remove the file, unless it is in its place or its name is another file's now."""
        path, self._path = self._path, None
        if path is None:
            return
        with suppress(OSError):
            if _identity(path) == self._identity:
                path.unlink()

    def _rename(self, path: Path) -> None:
        if not self._overwrite:
            rename_new(path, self._target)
            return
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(self._target.lstat().st_mode):
                raise FileExistsError
        path.replace(self._target)


@contextmanager
def new_file(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give the block a fresh file to write, and rename it to its target; an error removes it.

    Raises:
        TargetError: something came to the target meanwhile. The finished file stays beside it.
        WriteError: the file cannot be written.
    """
    draft = FileDraft(target, overwrite=overwrite)
    try:
        yield draft.create()
    except BaseException as error:
        draft.discard()
        if isinstance(error, OSError) and not isinstance(error, DepthrtError):
            reason = error.strerror or error
            raise WriteError(f"{target} cannot be written ({reason})") from error
        raise
    draft.place()


def write_text(target: Path, text: str, *, overwrite: bool, errors: str = "strict") -> None:
    """Write a text in UTF-8, whole or not at all.

    Args:
        target: the file.
        text: its content.
        overwrite: a file that stands there may be replaced.
        errors: what to do with characters that UTF-8 cannot encode, as in ``str.encode``.

    Raises:
        TargetError: something came to the target meanwhile. The text stays beside it.
        WriteError: it cannot be written.
    """
    with new_file(target, overwrite=overwrite) as place:
        place.write_text(text, encoding="utf-8", errors=errors)


def _identity(path: Path) -> tuple[int, int]:
    facts = path.lstat()
    return facts.st_dev, facts.st_ino

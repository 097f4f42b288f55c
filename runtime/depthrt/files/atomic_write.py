"""Files written beside their place under a fresh name, then renamed into it.

While it is made, ``out.mp4`` is called ``out.partial-3fa2c1.mp4``: created exclusively, so that the
name is nobody else's. Nothing is removed that was not made here. What came into the target's place
meanwhile is never replaced, unless overwriting was asked for; the finished file then stays beside
it, and the error names it. :mod:`depthrt.files.atomic_folder` does the same for folders.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from depthrt.errors import DepthrtError, TargetError, WriteError

_ATTEMPTS = 100
_LONGEST_NAME = 255  # bytes, of the usual file systems


def real_target(target: Path) -> Path:
    """Where a target is written: a symbolic link stays, and what it points to is written.

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
    """Create an empty file or folder under a name that nobody else has.

    Args:
        target: what it is for; the name begins like its name and ends with its suffix.
        word: what the name says of it.
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
        FileExistsError: something has it; looking and renaming are one step.
        OSError: it cannot be renamed.
    """
    try:
        os.link(path, target, follow_symlinks=False)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError:  # a file system without hard links: an empty file holds the place first
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


class FileDraft:
    """A file while it is made.

    Args:
        target: where it belongs; of a symbolic link, what it points to.
        overwrite: a file that stands there may be replaced.

    Raises:
        TargetError: a symbolic link that leads in a circle.
    """

    def __init__(self, target: Path, *, overwrite: bool) -> None:
        self._named, self._target, self._overwrite = target, real_target(target), overwrite
        self._path: Path | None = None
        self._identity: tuple[int, int] | None = None

    def create(self) -> Path:
        """Create the empty file and say where it is.

        Raises:
            OSError: it cannot be created.
        """
        path = self._path = create_fresh(self._target, "partial")
        self._identity = _identity(path)
        return path

    def place(self) -> Path:
        """Rename the finished file to its target, and give the target.

        Raises:
            TargetError: something came there meanwhile that may not be replaced.
            WriteError: it cannot be renamed. In both cases it stays where it is, which is said.
        """
        path = self._path
        if path is None:
            raise WriteError(f"nothing was written for {self._named}")
        try:
            if self._overwrite:
                self._replace(path)
            else:
                rename_new(path, self._target)
        except FileExistsError as error:
            raise TargetError(came_meanwhile(self._named, path)) from error
        except OSError as error:
            raise not_renamed(path, self._named, error) from error
        self._path = None
        return self._named

    def kept(self) -> Path | None:
        """Where the unfinished file is; one that nothing was written to is removed."""
        path = self._path
        try:
            if path is not None and path.stat().st_size:
                return path
        except OSError:
            return None
        self.discard()
        return None

    def discard(self) -> None:
        """Remove the file, unless it is in its place or another took its name."""
        path, self._path = self._path, None
        if path is None:
            return
        with suppress(OSError):
            if _identity(path) == self._identity:
                path.unlink()

    def _replace(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(self._target.lstat().st_mode):
                raise FileExistsError
        path.replace(self._target)


@contextmanager
def new_file(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """A fresh file for the block to write, put in its place after it; an error leaves nothing.

    Raises:
        TargetError: something came to the target meanwhile; the finished file stays beside it.
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
    """Write a text in UTF-8 to its place, as a whole or not at all.

    Args:
        target: the file.
        text: its content.
        overwrite: a file that stands there may be replaced.
        errors: what becomes of what UTF-8 cannot say, as in ``str.encode``.

    Raises:
        TargetError: something came there meanwhile; the text stays beside it, which is said.
        WriteError: it cannot be written.
    """
    with new_file(target, overwrite=overwrite) as place:
        place.write_text(text, encoding="utf-8", errors=errors)


def came_meanwhile(target: Path, path: Path) -> str:
    """The sentence for a target that something came to while its output was made."""
    return (
        f"{target} was made or changed by somebody else meanwhile and is left as it is: the "
        f"finished output is in {path}"
    )


def not_renamed(path: Path, target: Path, error: OSError) -> WriteError:
    """The error for what cannot be put in its place."""
    return WriteError(f"{path} could not be renamed to {target} ({error.strerror or error})")


def _identity(path: Path) -> tuple[int, int]:
    facts = path.lstat()
    return facts.st_dev, facts.st_ino

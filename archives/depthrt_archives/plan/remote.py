"""Sources at fsspec URLs such as s3://: what is there, and fetching it."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from depthrt.errors import SourceError, UsageError
from depthrt.files.atomic_write import new_file
from depthrt.sources.display_name import shown_source, without_secrets
from depthrt.system.installation import install_command

_CHUNK_BYTES = 1 << 22
_KEPT_FILES = 4  # fetched ones, on each machine


def is_remote(source: str) -> bool:
    """Whether a source is a URL and no file of that name."""
    return "://" in source and not os.path.lexists(source)


def list_remote(url: str) -> Iterator[str]:
    """The files at a URL: that itself, those a glob matches, or those below a folder, in order.

    Raises:
        SourceError: nothing is there, or the service does not answer.
        UsageError: the package for the scheme is not installed.
    """
    fs, path = _file_system(url)
    scheme = url.split("://", 1)[0]
    try:
        if any(character in path for character in "*?["):
            found = sorted(fs.glob(path))
        elif fs.isdir(path):
            found = sorted(fs.find(path))
        else:
            found = [path]
    except Exception as error:
        raise _unreachable(url, error) from None
    if not found:
        raise SourceError(f"nothing is at {shown_source(url)}")
    for name in found:
        yield name if "://" in str(name) else f"{scheme}://{name}"


def remote_stamp(url: str) -> list[Any]:
    """Size and what else tells that a remote file is another one: its ETag or its time.

    Raises:
        SourceError: it is not there.
    """
    fs, path = _file_system(url)
    try:
        fs.invalidate_cache()  # a listing of a while ago knows the file as it was
        facts = fs.info(path)
    except Exception as error:
        raise _unreachable(url, error) from None
    mark = facts.get("ETag") or facts.get("etag") or facts.get("mtime") or facts.get("LastModified")
    return [facts.get("size"), str(mark)]


@contextmanager
def fetched(url: str, stamp: list[Any]) -> Iterator[Path]:
    """A copy of a remote file, which all workers of this machine share.

    It is kept while one of them is at it; the last few are kept for the next segment, too.

    Raises:
        SourceError: it cannot be read.
        WriteError: there is no room for it.
    """
    folder = Path(tempfile.gettempdir()) / f"depthrt-batch-{_user()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    mark = hashlib.sha256(repr((url, stamp)).encode()).hexdigest()[:16]
    place = folder / f"{mark}-{Path(_file_system(url)[1]).name}"
    while (held := _held(place)) is None:
        _fetch(url, place)
    with held:
        os.utime(place)
        _forget_oldest(folder)
        yield place


def _fetch(url: str, place: Path) -> None:
    fs, path = _file_system(url)
    with new_file(place, overwrite=True) as partial:
        try:
            with fs.open(path, "rb") as remote, partial.open("wb") as copy:
                _lock(copy, shared=True)
                while chunk := remote.read(_CHUNK_BYTES):
                    copy.write(chunk)
        except Exception as error:
            raise _unreachable(url, error) from None


def _held(place: Path) -> IO[bytes] | None:
    """The file, open, so that no worker removes it; None where it is not there."""
    try:
        file = place.open("rb")
    except FileNotFoundError:
        return None
    _lock(file, shared=True)
    if place.exists():
        return file
    file.close()  # it was removed meanwhile
    return None


def _forget_oldest(folder: Path) -> None:
    """Remove all but the last files; those in use stay."""
    files = sorted(folder.iterdir(), key=_modified_s, reverse=True)
    for path in files[_KEPT_FILES:]:
        with suppress(OSError), path.open("rb") as file:
            _lock(file, shared=False)
            if os.name != "posix":
                file.close()  # such a system keeps files that are open
            path.unlink()


def _modified_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0  # another worker has removed it


def _lock(file: IO[bytes], *, shared: bool) -> None:
    """Lock a file, where the system has locks.

    Raises:
        OSError: it is to be locked alone, and is in use.
    """
    if os.name == "posix":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB)


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")


def _file_system(url: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError as error:
        raise UsageError(
            f"{shown_source(url)} needs the package fsspec: {install_command('archives')}"
        ) from error
    try:
        fs, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise UsageError(
            f"{shown_source(url)} needs another package ({error}): {install_command('archives')}"
        ) from error
    except Exception as error:
        raise _unreachable(url, error) from None
    return fs, str(path)


def _unreachable(url: str, error: Exception) -> SourceError:
    reason = without_secrets(str(error) or type(error).__name__, url)
    return SourceError(f"{shown_source(url)} cannot be read ({reason})")

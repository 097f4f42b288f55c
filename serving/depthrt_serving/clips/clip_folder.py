"""The folder of a server's clips: removed with the server, or by the next one if it was killed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PREFIX, _OWNED = "depthrt-clips-", ".in_use"


class ClipFolder:
    """A new folder among the temporary ones, which this process holds locked while it lives."""

    def __init__(self) -> None:
        remove_abandoned()
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = os.open(self.path / _OWNED, os.O_CREAT | os.O_RDWR, 0o600)
        if fcntl is not None:
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        """Remove it and all it holds."""
        os.close(self._lock)
        shutil.rmtree(self.path, ignore_errors=True)


def remove_abandoned() -> None:
    """Remove the folders of servers of this user that were killed."""
    for path in _of_this_user():
        with suppress(OSError):  # no lock yet: its server is about to take it
            lock = os.open(path / _OWNED, os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while its server lives
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)


def _of_this_user() -> Iterator[Path]:
    if fcntl is None:
        return
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if not path.is_symlink() and path.is_dir() and path.stat().st_uid == os.getuid():
                yield path

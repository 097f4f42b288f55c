"""A file that holds one frame of a source that has one."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

from depthrt.errors import WriteError
from depthrt.files.atomic_write import FileDraft
from depthrt.result import Result
from depthrt.sinks.base import Sink, write_error
from depthrt.system.interrupts import held


class OneFileSink(Sink):
    """One frame as one file, in place when the run is complete.

    Args:
        target: the file.
        more: what is wrong with a second frame, and what to do.
        overwrite: whether a file in its place may be replaced.
    """

    def __init__(self, target: Path, more: str, *, overwrite: bool = False) -> None:
        self._target, self._more = target, more
        self._draft = FileDraft(target, overwrite=overwrite)
        self._written = False

    @abstractmethod
    def content(self, result: Result) -> bytes:
        """The file of a frame."""

    def write(self, result: Result) -> bool:
        """Write the file; a second frame is an error."""
        if self._written:
            raise WriteError(f"{self._target.name} {self._more}")
        content = self.content(result)
        with held():
            try:
                self._draft.create().write_bytes(content)
            except OSError as error:
                self._draft.discard()
                raise write_error(self._target, error) from error
            self._written = True
        return True

    def close(self, *, complete: bool, cut_short: bool = False) -> Path | None:
        """Rename the file to its target, when complete."""
        if not self._written:
            self._draft.discard()
            return None
        return self._draft.place() if complete else self._draft.kept()

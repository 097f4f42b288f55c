"""A folder with a file for each frame and an index that says what they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from depthrt.frame import Frame
from depthrt.sinks.base import partial_name, put_in_place
from depthrt.sinks.muxing import write_error


class FrameFolder:
    """Written beside its place; a full disk leaves whole files and an index of them.

    ``index_name``: the JSON file with what is said of all, and each file's name, index and time.
    """

    def __init__(self, target: Path, index_name: str) -> None:
        if target.is_symlink():
            target = target.resolve()  # the link stays, what it points to is replaced
        self._target, self._partial = target, partial_name(target)
        self._index_name = index_name
        self._frames: list[dict[str, Any]] = []
        self.is_begun = False

    def add(self, frame: Frame, suffix: str, content: bytes) -> None:
        """Write the file of a frame, named after its index.

        Raises:
            WriteError: the disk is full, or the folder cannot be made.
        """
        path = self._partial / f"{frame.index:06d}{suffix}"
        try:
            if not self.is_begun:
                shutil.rmtree(self._partial, ignore_errors=True)
                self._partial.mkdir()
                self.is_begun = True
            path.write_bytes(content)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise write_error(self._partial, error) from error
        self._frames.append(
            {"file": path.name, "index": frame.index, "time_s": float(frame.time_s)}
        )

    def close(self, about: dict[str, Any], *, complete: bool) -> Path | None:
        """Write the index and, when complete, put the folder in its place; None without a file.

        Raises:
            WriteError: that failed.
        """
        if not self.is_begun or not self._partial.is_dir():
            return None
        index = self._partial / self._index_name
        while True:
            try:
                index.write_text(json.dumps({**about, "frames": self._frames}, indent=1))
                break
            except OSError as error:
                if complete:
                    raise write_error(self._partial, error) from error
                index.unlink(missing_ok=True)
                if not self._frames:
                    return None
            # The disk is full: the last file makes room for what the others mean.
            (self._partial / self._frames.pop()["file"]).unlink(missing_ok=True)
        return put_in_place(self._partial, self._target) if complete else self._partial

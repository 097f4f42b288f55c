"""A folder with one file for each frame, and an index of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from depthrt.files.atomic_folder import FolderDraft
from depthrt.files.folder_index import FolderKind
from depthrt.frame import Frame
from depthrt.sinks.base import is_disk_full, write_error
from depthrt.system.interrupts import held

INDEX_FILE = "depth.json"
POINTS_FILE = "points.json"
DEPTH_FOLDER = FolderKind(INDEX_FILE, "depthrt depth frames", r"[0-9]{6,}\.png")
POINTS_FOLDER = FolderKind(POINTS_FILE, "depthrt point clouds", r"[0-9]{6,}\.ply")
FOLDERS = (DEPTH_FOLDER, POINTS_FOLDER)
"""The kinds that ``depthrt run`` writes and may replace."""


class FrameFolder:
    """A folder that is written beside its target; a full disk leaves whole files and their index.

    The index is a JSON object: what holds for all frames, and name, index and time of each file.
    """

    def __init__(self, target: Path, kind: FolderKind, *, overwrite: bool) -> None:
        self._draft = FolderDraft(target, kind, FOLDERS, overwrite=overwrite)
        self._frames: list[dict[str, Any]] = []
        self.is_begun = self._has_index = False

    def add(
        self, frame: Frame, suffix: str, content: bytes, about: Mapping[str, Any] | None = None
    ) -> None:
        """Write the file of a frame, named after the frame's index.

        Args:
            frame: gives index and time.
            suffix: of the file's name.
            content: of the file.
            about: what else the index says of the frame.

        Raises:
            WriteError: the disk is full, or the folder cannot be made.
        """
        name = f"{frame.index:06d}{suffix}"
        entry = {"file": name, "index": frame.index, "time_s": frame.time_s}
        with held():
            try:
                if not self.is_begun:
                    self._draft.create()
                    self.is_begun = True
                self._draft.write(name, content)
            except OSError as error:
                raise write_error(self._draft.path, error) from error
            self._frames.append({**entry, **(about or {})})

    def close(self, about: dict[str, Any], *, complete: bool) -> Path | None:
        """Write the index and, when complete, rename the folder to its target.

        Args:
            about: what the index says of all frames.
            complete: else the folder stays beside its target.

        Returns:
            Where the folder is; None if no file was written.

        Raises:
            TargetError: something came to the target meanwhile.
            WriteError: the index cannot be written, or the folder cannot be renamed.
        """
        while self._frames and not self._has_index:
            try:
                self._draft.finish({**about, "frames": self._frames})
                self._has_index = True
            except OSError as error:
                if complete:
                    raise write_error(self._draft.path, error) from error
                if not is_disk_full(error):
                    break
                # The last file makes room for the index of the others.
                self._draft.remove(self._frames.pop()["file"])
        return self._draft.place() if complete and self._has_index else self._draft.kept()

"""A folder with a file for each frame and an index that says what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from depthrt.files.atomic_folder import FolderDraft
from depthrt.files.folder_index import FolderKind
from depthrt.frame import Frame
from depthrt.interrupts import held
from depthrt.sinks.video.container import is_full, write_error

INDEX_FILE = "depth.json"
POINTS_FILE = "points.json"
DEPTH_FOLDER = FolderKind(INDEX_FILE, "depthrt depth frames", r"[0-9]{6,}\.png")
POINTS_FOLDER = FolderKind(POINTS_FILE, "depthrt point clouds", r"[0-9]{6,}\.ply")
FOLDERS = (DEPTH_FOLDER, POINTS_FOLDER)
"""What ``depthrt run`` writes, and may replace."""


class FrameFolder:
    """Written beside its place; a full disk leaves whole files and an index of them.

    The index is JSON with what is said of all, and each file's name, index and time.
    """

    def __init__(self, target: Path, kind: FolderKind, *, overwrite: bool) -> None:
        self._draft = FolderDraft(target, kind, FOLDERS, overwrite=overwrite)
        self._frames: list[dict[str, Any]] = []
        self.is_begun = self._is_finished = False

    def add(self, frame: Frame, suffix: str, content: bytes) -> None:
        """Write the file of a frame, named after its index.

        Raises:
            WriteError: the disk is full, or the folder cannot be made.
        """
        name = f"{frame.index:06d}{suffix}"
        about = {"file": name, "index": frame.index, "time_s": float(frame.time_s)}
        with held():
            try:
                if not self.is_begun:
                    self._draft.create()
                    self.is_begun = True
                self._draft.write(name, content)
            except OSError as error:
                raise write_error(self._draft.path, error) from error
            self._frames.append(about)

    def close(self, about: dict[str, Any], *, complete: bool) -> Path | None:
        """Write the index and, when complete, put the folder in its place; None without a file.

        Raises:
            TargetError: something came to its place meanwhile.
            WriteError: that failed.
        """
        while self._frames and not self._is_finished:
            try:
                self._draft.finish({**about, "frames": self._frames})
                self._is_finished = True
            except OSError as error:
                if complete:
                    raise write_error(self._draft.path, error) from error
                if not is_full(error):
                    break
                # The last file makes room for what the others mean.
                self._draft.remove(self._frames.pop()["file"])
        return self._draft.place() if complete and self._is_finished else self._draft.kept()

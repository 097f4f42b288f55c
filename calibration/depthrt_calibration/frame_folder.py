"""Calibration frames on disk: lossless pictures, an index and a contact sheet.

frames/0001.png ...                 the frames at their original size, in order
frames/calibration.json             the index: where they come from, what was left out
frames/overview/contact_sheet.jpg   in a subfolder, because a source reads every image
                                    in ``frames``
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.errors import TargetError, WriteError
from depthrt.files.atomic_folder import FolderDraft
from depthrt.files.atomic_write import real_target
from depthrt.files.folder_index import FolderKind, own_entries
from depthrt.sinks.base import check_target
from depthrt.sources.source_files import source_files
from depthrt.system.interrupts import held

INDEX_FILE = "calibration.json"
SHEET = Path("overview", "contact_sheet.jpg")
FORMAT, VERSION = "depthrt calibration frames", 1
FOLDER = FolderKind(
    INDEX_FILE, FORMAT, rf"[0-9]{{4,}}\.png|{SHEET.as_posix()}", (str(SHEET.parent),)
)

_FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1]  # PNG is lossless at any level; 1 is several times faster


def pixel_hash(pixels: NDArray[np.uint8]) -> str:
    """SHA-256 of a picture's shape and pixels; independent of its file format."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


def check_folder(target: Path, sources: Sequence[str], *, overwrite: bool) -> None:
    """Before any work: refuse a folder that cannot be written or holds something else.

    Raises:
        TargetError: it exists and may not be replaced, holds a source, or cannot be written.
    """
    try:
        real = real_target(target)
        if real.exists() and not real.is_dir():
            raise TargetError(f"{target} is a file: give a folder for the frames")
        if real.is_dir() and not own_entries(target, (FOLDER,)):
            overwrite = True  # it is empty
        read = [path for source in sources for path in source_files(source)]
    except TargetError:
        raise
    except OSError as error:  # an unreadable folder, a name that is too long
        raise TargetError(f"{str(target)[:200]} cannot be used ({error.strerror})") from error
    check_target(target, overwrite=overwrite, sources=read, folder=True)


class FrameFolder:
    """A folder of frames under construction beside its target.

    Raises:
        WriteError: the disk is full, or the folder went away.
    """

    def __init__(self, target: Path, *, overwrite: bool) -> None:
        self._target = target
        self._draft = FolderDraft(target, FOLDER, (FOLDER,), overwrite=overwrite)
        try:
            self._draft.create()
        except OSError as error:
            raise self._failure(error) from error

    def add(self, name: str, image: NDArray[np.uint8]) -> None:
        """Write a picture (uint8 RGB H,W,3) without loss."""
        _, content = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _FAST)
        self._write(name, content.tobytes())

    def remove(self, name: str) -> None:
        """Delete a picture that was not chosen."""
        self._draft.remove(name)

    def rename(self, names: Mapping[str, str]) -> None:
        """Give the pictures their final names; no new name may be an old one."""
        for old, new in names.items():
            self._draft.rename(old, new)

    def finish(self, index: Mapping[str, Any], sheet: NDArray[np.uint8]) -> None:
        """Write index and contact sheet (RGB)."""
        bgr = cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)
        _, content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 88])
        self._write(SHEET.as_posix(), content.tobytes())
        try:
            self._draft.finish(index)
        except OSError as error:
            raise self._failure(error) from error

    def place(self) -> None:
        """Rename the finished folder to the target.

        Raises:
            TargetError: something else appeared there; the folder stays beside it.
            WriteError: it cannot be renamed; it stays beside the target, too.
        """
        with held():
            self._draft.place()

    def discard(self) -> None:
        """Remove the unfinished folder."""
        self._draft.discard()

    def _write(self, name: str, content: bytes) -> None:
        try:
            self._draft.write(name, content)
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> WriteError:
        reason = error.strerror or error
        return WriteError(f"the frames could not be written to {self._target} ({reason})")

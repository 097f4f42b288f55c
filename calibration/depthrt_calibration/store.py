"""Calibration frames on disk: lossless pictures, what is known of them, a contact sheet.

frames/0001.png ...                 the frames at their own size, in order
frames/calibration.json             where they come from and what was left out
frames/overview/contact_sheet.jpg   to look at; in a folder of its own, since reading the
                                    folder ``frames`` as a source reads every image in it
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.errors import TargetError, WriteError
from depthrt.sinks.base import check_target, partial_name, put_in_place

INDEX_FILE = "calibration.json"
SHEET = Path("overview", "contact_sheet.jpg")
FORMAT, VERSION = "depthrt calibration frames", 1

_FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1]  # lossless whatever the level; 1 is several times faster


def pixel_hash(pixels: NDArray[np.uint8]) -> str:
    """SHA-256 of a picture's shape and pixels, whatever its file format."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


def check_folder(target: Path, sources: Sequence[str], *, overwrite: bool) -> None:
    """Refuse a folder that cannot be written or holds something else, before any work is done.

    Raises:
        TargetError: it exists and may not be replaced, holds a source, or cannot be written.
    """
    try:
        if target.exists() and not target.is_dir():
            raise TargetError(f"{target} is a file: give a folder for the frames")
        if target.is_dir():
            names = {entry.name for entry in target.iterdir()} - {partial_name(target).name}
            others = sorted(name for name in names if not _is_ours(target, name))
            if others:
                raise TargetError(
                    f"the folder {target} holds other files ({others[0]}): choose a new one"
                )
            overwrite = overwrite or not names
        read = [Path(s) for s in sources if "://" not in s and Path(s).exists()]
    except TargetError:
        raise
    except OSError as error:  # a folder that may not be read, a name longer than names can be
        raise TargetError(f"{str(target)[:200]} cannot be used ({error.strerror})") from error
    check_target(target, overwrite=overwrite, sources=read, folder=True)


def _is_ours(folder: Path, name: str) -> bool:
    """Whether an entry of a folder is one that an earlier run left there."""
    if name != INDEX_FILE:
        return name == SHEET.parent.name or re.fullmatch(r"\d+\.png", name) is not None
    try:
        content = json.loads((folder / name).read_text())
    except ValueError:
        return False
    return isinstance(content, dict) and content.get("format") == FORMAT


class FrameFolder:
    """A folder of frames while it is made, beside its place.

    Raises:
        WriteError: the disk is full, or the folder went away.
    """

    def __init__(self, target: Path) -> None:
        if target.is_symlink():
            target = target.resolve()  # the link stays, what it points to is replaced
        self._target, self.place = target, partial_name(target)
        try:
            if self.place.is_dir():  # of a run that was killed
                shutil.rmtree(self.place)
            (self.place / SHEET.parent).mkdir(parents=True)
        except OSError as error:
            raise self._failure(error) from error

    def add(self, name: str, image: NDArray[np.uint8]) -> None:
        """Write a picture (uint8 RGB H,W,3) without loss."""
        _, content = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _FAST)
        self._write(name, content.tobytes())

    def remove(self, name: str) -> None:
        """Delete a picture that is not wanted after all."""
        (self.place / name).unlink()

    def rename(self, names: Mapping[str, str]) -> None:
        """Give the pictures their final names; no new name is an old one."""
        for old, new in names.items():
            (self.place / old).rename(self.place / new)

    def finish(self, index: Mapping[str, Any], sheet: NDArray[np.uint8]) -> None:
        """Write index and contact sheet (RGB) and put the folder in its place."""
        self._write(INDEX_FILE, json.dumps(index, indent=1).encode())
        bgr = cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)
        _, content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 88])
        self._write(str(SHEET), content.tobytes())
        put_in_place(self.place, self._target)

    def discard(self) -> None:
        """Remove what was made, unless it is in its place."""
        shutil.rmtree(self.place, ignore_errors=True)

    def _write(self, name: str, content: bytes) -> None:
        try:
            (self.place / name).write_bytes(content)
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> WriteError:
        reason = error.strerror or error
        return WriteError(f"the frames could not be written to {self._target} ({reason})")

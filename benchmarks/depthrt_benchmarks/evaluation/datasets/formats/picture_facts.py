"""What reading a picture changes in it, so that the figures can say so."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from depthrt.frame import RgbImage
from depthrt.sources.images import quiet_opencv

ALPHA = "have an alpha channel, which is dropped"
DEEP = "have 16 bits a channel, of which the upper 8 are used"
TURNED = "are turned as their EXIF entry says, but depth is taken as it lies in its file"
_HEAD_BYTES = 1 << 16
_PNG_BEGIN = b"\x89PNG\r\n\x1a\n"
_PNG_ALPHA = (4, 6)  # colour types
_TURNABLE = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")


def picture_notes(path: Path, image: RgbImage) -> tuple[str, ...]:
    """What was changed when ``image`` (H,W,3) was read from a file, in words of this module."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:  # it was read a moment ago
        return ()
    notes = []
    if head.startswith(_PNG_BEGIN):
        notes += [ALPHA] if head[25:26] and head[25] in _PNG_ALPHA else []
        notes += [DEEP] if head[24:25] == b"\x10" else []
    if path.suffix.lower() in _TURNABLE and _is_turned(path, head, image):
        notes.append(TURNED)
    return tuple(notes)


def _is_turned(path: Path, head: bytes, image: RgbImage) -> bool:
    """Whether the picture lies otherwise in its file than it was read."""
    is_tiff = head[:4] in (b"II*\0", b"MM\0*")
    if not (is_tiff or b"Exif" in head or b"eXIf" in head):
        return False
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    with quiet_opencv():
        stored = cv2.imdecode(np.fromfile(path, np.uint8), flags)
    return stored is not None and not np.array_equal(stored[..., ::-1], image)

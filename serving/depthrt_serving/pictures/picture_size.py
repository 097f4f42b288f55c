"""The size of a picture from its head: a huge one is refused before it is decoded."""

from __future__ import annotations

import struct

_JPEG_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # ITU-T T.81: start of frame
_JPEG_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9
_PNG_BEGIN = b"\x89PNG\r\n\x1a\n"
FORMATS = "JPEG, PNG, WebP or HEIC"


def picture_size(content: bytes) -> tuple[int, int] | None:
    """Height and width of a JPEG, PNG or WebP picture as it is stored; None of anything else.

    A JPEG that is turned by its EXIF entry has them the other way round.
    """
    if content.startswith(b"\xff\xd8"):
        return _of_jpeg(content)
    if content.startswith(_PNG_BEGIN):
        return _of_png(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _of_webp(content)
    return None


def _of_png(content: bytes) -> tuple[int, int] | None:
    """PNG (third edition), 11.2.1: IHDR is the first chunk."""
    if content[12:16] != b"IHDR" or len(content) < 24:
        return None
    width, height = struct.unpack(">II", content[16:24])
    return height, width


def _of_jpeg(content: bytes) -> tuple[int, int] | None:
    """Go from marker to marker; bytes between them are skipped, as decoders do."""
    at = 2
    while True:
        at = content.find(b"\xff", at)
        while at >= 0 and content[at : at + 2] == b"\xff\xff":  # fill bytes
            at += 1
        if at < 0 or at + 4 > len(content):
            return None
        marker = content[at + 1]
        at += 2
        if marker == 0 or marker in _JPEG_ALONE:
            continue
        if marker in (_JPEG_SCAN, _JPEG_END):
            return None
        if marker in _JPEG_SIZES:
            if at + 7 > len(content):
                return None
            height, width = struct.unpack(">HH", content[at + 3 : at + 7])
            return height, width
        at += max(2, int.from_bytes(content[at : at + 2], "big"))


def _of_webp(content: bytes) -> tuple[int, int] | None:
    """RFC 9649: VP8X has the canvas; VP8 and VP8L have the size of the one picture."""
    kind, body = content[12:16], content[20:30]
    if len(body) < 10:
        return None
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[7:10], "little"), 1 + int.from_bytes(body[4:7], "little")
    if kind == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return 1 + ((bits >> 14) & 0x3FFF), 1 + (bits & 0x3FFF)
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", body[6:10])
        return height & 0x3FFF, width & 0x3FFF
    return None

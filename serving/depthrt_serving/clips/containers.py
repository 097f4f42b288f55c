"""Which videos are taken: by their first bytes, as some formats make FFmpeg read other files."""

from __future__ import annotations

CONTAINERS = "MP4, MOV, Matroska, WebM or AVI"
HEAD_BYTES = 12


def suffix_of(head: bytes) -> str | None:
    """The ending for a video with these first bytes; None if it is not taken.

    Playlists, which name other files and hosts, begin otherwise.
    """
    if head[4:8] == b"ftyp":
        return ".mp4"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return ".mkv"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return ".avi"
    return None

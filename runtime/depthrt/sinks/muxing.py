"""Writing video files with PyAV so that what was written survives."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from depthrt.errors import WriteError

if TYPE_CHECKING:
    from av import Packet
    from av.container import OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


class Clock:
    """Exact time stamps of an output: the source's own, counted from its first wanted frame."""

    def __init__(self, origin_s: Fraction, time_base_s: Fraction) -> None:
        self.origin_s = origin_s
        self.time_base_s = time_base_s
        self._last = -1

    def stamp(self, time_s: Fraction) -> int:
        """The time stamp in units of the time base; strictly increasing."""
        self._last = max(self._last + 1, round((time_s - self.origin_s) / self.time_base_s))
        return self._last


def encode(stream: VideoStream, frame: VideoFrame | None, container: OutputContainer) -> None:
    """Encode a frame, or the delayed ones at the end (None), and write the packets.

    Raises:
        WriteError: the encoder or the file failed.
    """
    try:
        for packet in stream.encode(frame):
            container.mux(packet)
    except OSError as error:  # PyAV's errors of the file system, and of FFmpeg, are OSErrors
        raise write_error(container.name, error) from error


def mux(container: OutputContainer, packet: Packet) -> None:  # type: ignore[type-arg]
    """Write a packet; a failing file is a WriteError."""
    try:
        container.mux(packet)
    except OSError as error:
        raise write_error(container.name, error) from error


def finish(container: OutputContainer) -> None:
    """Write the end of the file and close it; a failing file is a WriteError."""
    try:
        container.close()
    except OSError as error:
        raise write_error(container.name, error) from error


def write_error(name: str | Path, error: OSError) -> WriteError:
    """The sentence for an output that failed."""
    reason = error.strerror or str(error)
    return WriteError(
        f"writing {Path(name).name} failed ({reason}): free space or choose another disk"
    )

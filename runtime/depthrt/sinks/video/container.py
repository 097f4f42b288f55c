"""Writing video files with PyAV so that what was written survives."""

from __future__ import annotations

import errno
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from depthrt.errors import WriteError

if TYPE_CHECKING:
    from av import Packet
    from av.container import OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


_NO_SPACE = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


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


def encode(
    stream: VideoStream,
    frame: VideoFrame | None,
    container: OutputContainer,
    durations: dict[int, int] | None = None,
) -> None:
    """Encode a frame, or the delayed ones at the end (None), and write the packets.

    ``durations`` of frames by their time stamps, which encoders lose; those written are taken out.

    Raises:
        WriteError: the encoder or the file failed.
    """
    import av

    try:
        for packet in stream.encode(frame):
            if durations and packet.pts is not None:
                packet.duration = durations.pop(packet.pts, 0)
            container.mux(packet)
    except (OSError, av.error.FFmpegError) as error:
        raise write_error(container.name, error) from error


def mux(container: OutputContainer, packet: Packet) -> None:  # type: ignore[type-arg]
    """Write a packet; a failing file is a WriteError."""
    import av

    try:
        container.mux(packet)
    except (OSError, av.error.FFmpegError) as error:
        raise write_error(container.name, error) from error


def begin(container: OutputContainer) -> None:
    """Write the head of the file; a failing file is a WriteError.

    Nothing may be written after that failed: FFmpeg has freed its muxer and would crash.
    """
    import av

    try:
        container.start_encoding()
    except (OSError, av.error.FFmpegError) as error:
        raise write_error(container.name, error) from error


def finish(container: OutputContainer) -> None:
    """Write the end of the file and close it; a failing file is a WriteError."""
    import av

    try:
        container.close()
    except (OSError, av.error.FFmpegError) as error:
        raise write_error(container.name, error) from error


def write_error(name: str | Path, error: Exception) -> WriteError:
    """The sentence for an output that failed."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    advice = "choose another output with -o"
    if is_full(error):
        advice = "free space or choose another disk"
    return WriteError(f"writing {Path(name).name} failed ({reason}): {advice}")


def is_full(error: Exception) -> bool:
    """Whether an output failed because there is no more room for it."""
    return getattr(error, "errno", None) in _NO_SPACE

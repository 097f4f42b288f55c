"""When the pictures of a file are to be shown, as far as it says so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from depthrt.sources.read_options import UNUSED_FPS

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

USUAL_RATE = Fraction(25)
_NO_TIME_STAMPS = 0x80  # FFmpeg's flag (AVFMT_NOTIMESTAMPS) of bare streams
_MOST_RATE = 1000  # some decoders give their time base for a rate
_SLACK_S = 1  # by which the other tracks of a file may be longer than its picture


@dataclass(frozen=True)
class Timing:
    """Frame rate and times of a video stream.

    - ``rate``: frames a second, exact;
    - ``counted``: the times are those of a constant rate, whatever packets say;
    - ``note``: what was assumed, in words; empty where nothing was.
    """

    rate: Fraction
    counted: bool = False
    note: str = ""


def timing_of(container: InputContainer, stream: VideoStream, fps: float | None) -> Timing:
    """The timing of a stream.

    A bare stream (.h264, .hevc, .mjpeg) has no times, and FFmpeg calls its average rate 25/s. Its
    decoder knows the rate that the stream itself may state (H.264: in its SPS).

    Args:
        container: what was opened.
        stream: the video stream.
        fps: the user's rate for streams without times, in 1/s.
    """
    bare = is_bare(container)
    if bare and fps is not None:
        return Timing(Fraction(str(fps)), counted=True)
    unused = "" if fps is None else UNUSED_FPS
    if not bare:
        rate = stream.average_rate or stream.guessed_rate or USUAL_RATE
        return Timing(Fraction(rate), note=unused)
    guessed = Fraction(stream.guessed_rate or USUAL_RATE)
    context = stream.codec_context
    stated = Fraction(context.framerate or 0) if context is not None else Fraction(0)
    if stated > 0:
        return Timing(stated if stated <= _MOST_RATE else guessed)
    note = f"it does not say its frame rate: {float(guessed):g}/s is assumed; --source-fps sets it"
    return Timing(guessed, note=note)


def is_bare(container: InputContainer) -> bool:
    """Whether a container holds a stream without times, or pictures one after the other."""
    form = container.format
    return bool(int(form.flags) & _NO_TIME_STAMPS) or form.name.endswith("_pipe")


def start_s(container: InputContainer) -> Fraction:
    """The time stamp of a file's beginning in seconds."""
    import av

    return Fraction(container.start_time or 0, av.time_base)


def announced_s(container: InputContainer, stream: VideoStream) -> Fraction:
    """How long the picture goes on as the file says; 0 when it does not say."""
    import av

    if is_bare(container):
        return Fraction(0)  # FFmpeg would estimate it from the bit rate
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    tag = _duration_tag(stream)
    if tag:
        return int(tag[1]) * 3600 + int(tag[2]) * 60 + Fraction(tag[3])
    whole_s = Fraction(container.duration or 0, av.time_base)
    others = len(container.streams) > 1
    return max(Fraction(0), whole_s - _SLACK_S) if others else whole_s


def is_told_of_picture(stream: VideoStream) -> bool:
    """Whether the file says how long the picture is, not only how long all of it is."""
    return bool(stream.duration or _duration_tag(stream))


def _duration_tag(stream: VideoStream) -> re.Match[str] | None:
    """Matroska says how long a track is in a tag, and else only how long the whole file is."""
    return re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))

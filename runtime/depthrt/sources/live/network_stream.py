"""Network streams: RTSP, HTTP and whatever else FFmpeg can receive, decoded as they arrive."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from depthrt.errors import SourceError
from depthrt.sources.base import RECONNECT_S, Losses, Selection
from depthrt.sources.containers import BROKEN, open_input, reason_of
from depthrt.sources.decode.picture_format import Look
from depthrt.sources.decode.video_stream import choose_video, read_only
from depthrt.sources.display_name import shown_source
from depthrt.sources.live.reconnecting_source import LiveSource, Taken
from depthrt.sources.video import to_image
from depthrt.system.cpu_cores import usable_cores

if TYPE_CHECKING:
    from av import Packet
    from av.video.frame import VideoFrame

_USUAL_RATE = Fraction(25)
_MOST_RATE = 1000  # some containers give their time base for a rate
_WAITING = 64  # packets whose frames the decoder may still hold
_NO_CLOCK = ("mpjpeg", "mjpeg", "jpeg_pipe")  # their time stamps count pictures
_OPTIONS = {
    "fflags": "nobuffer",
    "analyzeduration": "2000000",  # microseconds to look at the stream before the first picture
    "fpsprobesize": "3",  # frames to tell the rate from; the usual 20 take a second more
    "rtsp_flags": "prefer_tcp",  # a lost packet of UDP damages all pictures to the next key frame
}


def open_network(
    url: str,
    selection: Selection,
    *,
    reconnect_s: float = RECONNECT_S,
    stream: Stream | None = None,
) -> LiveSource:
    """A live network stream; ``stream`` is one that is open already.

    Raises:
        SourceError: no server, no video, or no picture comes.
    """
    return LiveSource(
        shown_source(url),
        lambda: Stream(url, selection.reading.video_stream),
        selection,
        reconnect_s=reconnect_s,
        connection=stream,
    )


class Stream:
    """A connection to a server that sends video.

    Raises:
        SourceError: it cannot be opened, or has no video.
    """

    def __init__(self, url: str, number: int | None = None) -> None:
        self._url, self._name = url, shown_source(url)
        self._container = open_input(url, self._name, _OPTIONS)
        try:
            self._stream, chosen = choose_video(self._container, self._name, number)
        except BaseException:
            self._container.close()
            raise
        read_only(self._container, self._stream)
        self._stream.thread_type = "SLICE"  # decoding frames side by side would hold each back
        self._stream.codec_context.thread_count = max(1, usable_cores() // 2)
        rate = self._stream.average_rate or self._stream.guessed_rate
        self.rate = Fraction(rate) if rate and 0 < rate <= _MOST_RATE else _USUAL_RATE
        self.notes = [chosen] if chosen else []

    @property
    def has_an_end(self) -> bool:
        """Whether it says how long it is: then it is a recording."""
        return bool(self._container.duration and self._container.duration > 0)

    def pictures(self, losses: Losses) -> Iterator[Taken]:
        """The pictures from the first whole one on, until the server goes away."""
        whole = False
        look: Look | None = None
        clocked = self._container.format.name not in _NO_CLOCK
        for decoded, captured_s in self._decode(losses):
            # Before the first key frame a decoder fills in what it does not know.
            whole = whole or decoded.key_frame or not decoded.is_corrupt
            if not whole:
                continue
            if decoded.is_corrupt:
                losses.corrupt_frames += 1
            sent_s = None
            if clocked and decoded.pts is not None and decoded.time_base is not None:
                sent_s = decoded.pts * decoded.time_base
            if decoded.key_frame or look is None:
                look = Look.of(decoded, self._stream)
                self.notes += [note for note in look.notes if note not in self.notes]
            try:
                image = to_image(decoded, look)
            except BROKEN as error:
                raise SourceError(reason_of(error)) from error
            yield Taken(image, captured_s, sent_s)

    def close(self) -> None:
        """Hang up."""
        self._container.close()

    def _decode(self, losses: Losses) -> Iterator[tuple[VideoFrame, float]]:
        """The frames with the time when the packet of each had arrived."""
        import av

        arrived_s: dict[int, float] = {}
        packets = self._container.demux(self._stream)
        reason = ""
        while True:
            try:
                packet: Packet[Any] | None = next(packets, None)
            except av.error.FFmpegError as error:
                reason, packet = reason_of(error, self._url), None
            if reason:
                raise SourceError(reason)  # not chained: FFmpeg's own error holds the address
            if packet is None:
                return
            now_s = time.monotonic()
            if packet.pts is not None:
                arrived_s[packet.pts] = now_s
                if len(arrived_s) > _WAITING:
                    arrived_s.pop(next(iter(arrived_s)))
            try:
                decoded = packet.decode()
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                losses.corrupt_packets += 1
                continue
            for frame in decoded:
                yield frame, arrived_s.pop(frame.pts, now_s) if frame.pts is not None else now_s

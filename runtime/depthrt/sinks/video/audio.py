"""The sound of a source as packets for an output."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

from depthrt.errors import SourceError
from depthrt.pipeline.prefetch import Prefetch
from depthrt.sources.blocking_calls import call
from depthrt.sources.containers import open_input
from depthrt.sources.display_name import is_there, shown_source

if TYPE_CHECKING:
    from av import Packet
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer

# What an MP4 may hold and browsers can mostly play; anything else becomes AAC.
_COPIED = {"aac", "mp3", "ac3", "eac3", "opus", "alac", "flac"}
T = TypeVar("T")
_AHEAD = 64  # packets that are read ahead from a server
_CLOCK_RESTART_S = Fraction(1, 2)  # a step back in time by more is a new recording


class Sound:
    """The first sound track of a file or URL as packets for an output.

    Packets are copied if MP4 can hold the codec, else transcoded to AAC. Sound that cannot be read
    or decoded is left out: the picture matters more. Sound of a server is read in a thread, so that
    Ctrl-C works while the server stalls.

    Args:
        url: a file or URL.
        output: gets an audio stream, if there is sound.
        origin_s: the time in the source at which the output begins, in seconds.
    """

    def __init__(self, url: str, output: OutputContainer, origin_s: Fraction) -> None:
        import av

        self._origin_s = origin_s
        self._packets: Iterator[Packet[Any]] = iter(())
        self._waiting: Packet[Any] | None = None
        self._input: InputContainer | None = None
        self._remote = "://" in url and not is_there(url)
        try:
            source = self._input = self._opened(url)
        except SourceError:
            return  # gone since, or a server that sends it only once
        track = next(iter(source.streams.audio), None)
        if track is None or track.codec_context is None or not track.codec_context.sample_rate:
            return
        offset = Fraction(source.start_time or 0, av.time_base) + origin_s
        if offset > 0 and track.time_base:
            try:
                target = int(offset / track.time_base)
                source.seek(target, stream=track, backward=True)
            except av.error.FFmpegError:
                pass  # earlier packets are skipped one by one
        readable = _readable(source, track)
        if track.codec_context.codec.canonical_name in _COPIED:
            self._target: AudioStream = output.add_stream_from_template(track)
            self._packets = self._copied(self._fetched(readable), track, offset)
        else:
            rates = av.codec.Codec("aac", "w").audio_rates or [48000]
            wanted = track.codec_context.sample_rate
            rate = min(rates, key=lambda rate: (abs(rate - wanted), rate))
            self._target = output.add_stream("aac", rate=rate)
            decoded = self._fetched(_decoded(readable, track))
            self._packets = self._transcoded(decoded, offset)

    def until(self, time_s: Fraction | None) -> Iterator[Packet[Any]]:
        """The next packets that begin before a time of the output, in seconds; None: all."""
        while True:
            packet = self._waiting or next(self._packets, None)
            self._waiting = None
            if packet is None:
                return
            if time_s is not None and _begin_s(packet) >= time_s:
                self._waiting = packet
                return
            yield packet

    def _opened(self, url: str) -> InputContainer:
        if not self._remote:
            return open_input(url, shown_source(url))
        return call(lambda: open_input(url, shown_source(url)), lambda opened: opened.close())

    def _fetched(self, items: Iterator[T]) -> Generator[T, None, None]:
        """The items: those of a server are read ahead by a thread, those of a file on demand."""
        if not self._remote or self._input is None:
            yield from items
            return
        source, self._input = self._input, None  # the thread closes it, once the server returns
        with Prefetch(_closing(items, source), _AHEAD, name="sound") as fetched:
            yield from fetched

    @property
    def is_there(self) -> bool:
        """Whether there is a sound track that can be read."""
        return hasattr(self, "_target")

    def close(self) -> None:
        """Close the file that the sound comes from."""
        if isinstance(self._packets, Generator):
            self._packets.close()
        if self._input is not None:
            self._input.close()

    def _copied(
        self, packets: Iterator[Packet[Any]], track: AudioStream, offset_s: Fraction
    ) -> Iterator[Packet[Any]]:
        shift = round(offset_s / (track.time_base or Fraction(1, 48000)))
        last: int | None = None
        end = 0
        for packet in packets:
            if packet.pts is None or packet.dts is None:
                continue
            if self._origin_s and last is None and packet.pts < shift:
                continue  # at time 0 the priming packets of the encoder are kept
            if last is not None and packet.dts - shift <= last:
                shift = packet.dts - end  # concatenated recordings start their clocks again
            packet.pts -= shift
            packet.dts -= shift
            last, end = packet.dts, packet.dts + max(1, packet.duration or 0)
            packet.stream = self._target
            yield packet

    def _transcoded(
        self, frames: Iterator[AudioFrame], offset_s: Fraction
    ) -> Iterator[Packet[Any]]:
        import av

        context = self._target.codec_context
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=context.sample_rate)
        end_s = -offset_s
        for decoded in frames:
            if decoded.pts is None or decoded.time_base is None:
                continue
            time_s = decoded.pts * decoded.time_base - offset_s
            if time_s < end_s - _CLOCK_RESTART_S:
                offset_s -= end_s - time_s
                time_s = end_s
            end_s = time_s + Fraction(decoded.samples, decoded.sample_rate)
            if time_s < 0:
                continue
            decoded.pts = round(time_s / decoded.time_base)
            for frame in resampler.resample(decoded):
                yield from self._target.encode(frame)
        yield from self._target.encode(None)


def _begin_s(packet: Packet[Any]) -> Fraction:
    if packet.dts is None or packet.time_base is None:
        return Fraction(0)
    return packet.dts * packet.time_base


def _decoded(readable: Iterator[Packet[Any]], track: AudioStream) -> Iterator[AudioFrame]:
    import av

    for packet in readable:
        try:
            yield from track.decode(packet)
        except av.error.FFmpegError:
            continue


def _closing(items: Iterator[T], container: InputContainer) -> Generator[T, None, None]:
    """The items; then the container is closed, in the thread that reads them."""
    with closing(container):
        yield from items


def _readable(container: InputContainer, track: AudioStream) -> Iterator[Packet[Any]]:
    """The packets before the first one that cannot be read."""
    import av

    try:
        for packet in container.demux(track):
            if packet.size:
                yield packet
    except av.error.FFmpegError:
        return

"""The source's sound, carried over to the output."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av import Packet
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer

# What an MP4 may hold and browsers can mostly play; anything else becomes AAC.
_COPIED = {"aac", "mp3", "ac3", "eac3", "opus", "alac", "flac"}


class Sound:
    """The first sound track of a file as packets of an output, from ``origin_s`` on.

    Packets are copied where MP4 can hold the codec and transcoded to AAC where not.
    """

    def __init__(self, path: Path, output: OutputContainer, origin_s: Fraction) -> None:
        import av

        self._input: InputContainer | None = av.open(str(path))
        self._origin_s = origin_s
        self._packets: Iterator[Packet[Any]] = iter(())
        self._waiting: Packet[Any] | None = None
        if not self._input.streams.audio:
            self.close()
            return
        track = self._input.streams.audio[0]
        offset = Fraction(self._input.start_time or 0, av.time_base) + origin_s
        if offset > 0 and track.time_base:
            self._input.seek(int(offset / track.time_base), stream=track, backward=True)
        if track.codec_context.name in _COPIED:
            self._target: AudioStream = output.add_stream_from_template(track)
            self._packets = self._copied(track, offset)
        else:
            self._target = output.add_stream("aac", rate=track.codec_context.sample_rate)
            self._packets = self._transcoded(track, offset)

    def until(self, time_s: Fraction | None) -> Iterator[Packet[Any]]:
        """The packets that come next and begin before this output time; None means all."""
        while True:
            packet = self._waiting or next(self._packets, None)
            self._waiting = None
            if packet is None:
                return
            if time_s is not None and _begin_s(packet) >= time_s:
                self._waiting = packet
                return
            yield packet

    def close(self) -> None:
        """Close the file that the sound comes from."""
        if self._input is not None:
            self._input.close()
            self._input = None

    def _copied(self, track: AudioStream, offset_s: Fraction) -> Iterator[Packet[Any]]:
        shift = round(offset_s / (track.time_base or Fraction(1, 48000)))
        for packet in _readable(self._input, track):
            if packet.pts is None or packet.dts is None:
                continue
            if self._origin_s and packet.pts < shift:
                continue  # from the very start on, the encoder's priming packets are kept
            packet.pts -= shift
            packet.dts -= shift
            packet.stream = self._target
            yield packet

    def _transcoded(self, track: AudioStream, offset_s: Fraction) -> Iterator[Packet[Any]]:
        import av

        context = self._target.codec_context
        resampler = av.AudioResampler(format="fltp", layout=track.layout, rate=context.sample_rate)
        for packet in _readable(self._input, track):
            for decoded in track.decode(packet):
                if decoded.pts is None or decoded.time_base is None:
                    continue
                decoded.pts -= round(offset_s / decoded.time_base)
                if decoded.pts < 0:
                    continue
                for frame in resampler.resample(decoded):
                    yield from self._target.encode(frame)
        yield from self._target.encode(None)


def _begin_s(packet: Packet[Any]) -> Fraction:
    if packet.dts is None or packet.time_base is None:
        return Fraction(0)
    return packet.dts * packet.time_base


def _readable(container: InputContainer | None, track: AudioStream) -> Iterator[Packet[Any]]:
    """The packets up to the first that cannot be read: the picture matters more than the rest."""
    import av

    if container is None:
        return
    try:
        for packet in container.demux(track):
            if packet.size:
                yield packet
    except av.error.FFmpegError:
        return

"""Video files and network streams, decoded with PyAV.

PyAV over cv2.VideoCapture: exact time stamps, errors that say what happened, YUV planes that can go
to the network's size without a full-size colour conversion, and fewer CPU milliseconds a frame.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthrt.errors import SourceError
from depthrt.frame import Frame, Image, view_planes
from depthrt.frame import plane_view as plane_view  # what encodes a frame fills its planes alike
from depthrt.sources.base import Losses, Selection, SourceInfo, select
from depthrt.sources.containers import BROKEN, open_input, reason_of
from depthrt.sources.decode.picture_format import Look, picture
from depthrt.sources.decode.timing import (
    announced_s,
    is_bare,
    is_told_of_picture,
    start_s,
    timing_of,
)
from depthrt.sources.decode.video_stream import choose_video, read_only
from depthrt.sources.display_name import shown_source
from depthrt.system.cpu_cores import usable_cores

if TYPE_CHECKING:
    from av import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_LARGE_PIXELS = 1 << 21
_TOLERATED_SHORTFALL = 2  # odd durations cost a frame or two of what was announced
_CLOCK_RESTART_S = Fraction(1, 2)  # recordings strung together start their clocks anew
_IN_DECODING_ORDER = ("avi",)  # times of packets, not of pictures: B-frames come out mixed up


class VideoSource:
    """The frames of a video file or a network stream.

    Raises:
        SourceError: missing, empty, no video, or not decodable at all.
    """

    def __init__(self, url: str, selection: Selection, *, live: bool = False) -> None:
        self.losses = Losses()
        path = Path(url)
        there = path.exists()
        # FFmpeg would take what stands before a colon in a file's name for a protocol.
        self._url = str(path.absolute()) if there else url
        self._name = path.name if there else shown_source(url)
        self._shown = str(path) if there else self._name
        self.info: SourceInfo
        self._seeked = False
        self._look: Look | None = None
        self._delay_s: Fraction | None = None  # of the first picture, where times are of packets
        self._others_end_s = Fraction(0)
        self._number = selection.reading.video_stream
        chosen = self._open()
        stream = self._stream
        timing = timing_of(self._container, stream, selection.reading.fps)
        self._rate, self._counted = timing.rate, timing.counted
        self._tick_s = Fraction(stream.time_base or Fraction(1, 90000))
        self._announced_s = Fraction(0) if live else announced_s(self._container, stream)
        announced = int(stream.frames) or round(self._announced_s * self._rate)
        self._frames = self._read()
        # The first frame is decoded here: a file that gives none is an error now, not later, and
        # only a decoded frame knows the rotated size.
        try:
            self._first = next(self._frames, None)
        except BaseException:
            self._container.close()
            raise
        if self._first is None or self._look is None:
            self._container.close()
            raise SourceError(f"{self._shown} holds no video frame that can be decoded")
        self.info = SourceInfo(
            name=self._name,
            size=(self._first.pixels.shape[0], self._first.pixels.shape[1]),
            rate=self._rate,
            time_base_s=self._tick_s,
            frame_count=selection.count(announced, self._rate) if announced else None,
            live=live,
            path=path if path.is_file() else None,
            sound=None if live else self._url,
            pixel_aspect=_pixel_aspect(stream, self._look.orientation),
            selection=selection,
            blocks=not path.is_file(),
            owns_pictures=True,
            notes=tuple(filter(None, (chosen, timing.note, *self._look.notes))),
        )
        if selection.start_s > 0 and not live and not is_bare(self._container):
            self._restart(selection.begin_s)
            # Not every file finds the key frame before a time: then all is decoded up to it.
            if self._first is None or self._first.exact_time_s > selection.begin_s:
                self._restart()

    def stop(self) -> None:
        """Do nothing: a file gives its next frame soon, and nobody waits for a server."""

    def close(self) -> None:
        """Close the file, where its frames are not wanted."""
        self._frames.close()

    def frames(self) -> Iterator[Frame]:
        """The selected frames, in order; closing the iterator closes the file."""
        selection = self.info.selection
        with closing(self._frames):
            yield from self._all() if selection.is_whole else select(self._all(), selection)

    def _all(self) -> Iterator[Frame]:
        if self._first is not None:
            first, self._first = self._first, None
            yield first
        yield from self._frames

    def _open(self) -> str:
        """Open the file and choose its picture; what was chosen among several, in words."""
        container = self._container = open_input(self._url, self._shown)
        try:
            stream, chosen = choose_video(container, self._shown, self._number)
        except BaseException:
            container.close()
            raise
        self._stream = stream
        self._origin_s = start_s(container)
        # Where a file says only how long all of it is, its sound may tell that nothing is missing.
        self._heard = [] if is_told_of_picture(stream) else list(container.streams.audio)
        read_only(container, stream)
        stream.thread_type = "AUTO"
        # The other stages want cores too, and on two cores one thread costs 5-8% less CPU a frame;
        # but pictures larger than 1080p, decoded by one, would hold all of them up.
        context = stream.codec_context
        large = context.width * context.height > _LARGE_PIXELS
        context.thread_count = usable_cores() if large else max(1, usable_cores() // 2)
        return chosen

    def _restart(self, start_s: Fraction | None = None) -> None:
        """Read again, from the key frame before a time or from the very start."""
        import av

        self._frames.close()
        self.losses = Losses()
        self._open()
        self._seeked = start_s is not None
        self._frames = self._read()
        if start_s is not None:
            target = int((start_s + self._origin_s) / self._tick_s)
            try:
                self._container.seek(target, stream=self._stream, backward=True)
            except av.error.FFmpegError:
                self._first = None
                return
        self._first = next(self._frames, None)

    def _read(self) -> Generator[Frame, None, None]:
        index: int | None = None
        last_s: Fraction | None = None
        end_s = Fraction(0)
        try:
            for decoded in self._decode():
                if decoded.is_corrupt:
                    self.losses.corrupt_frames += 1
                time_s = self._time_s(decoded, last_s)
                if last_s is not None and time_s <= last_s:
                    time_s = last_s + self._tick_s  # a repeated time stamp, which muxers refuse
                duration_s = self._duration_s(decoded)
                last_s, end_s = time_s, time_s + duration_s
                if decoded.key_frame or self._look is None:  # nothing changes between them
                    self._look = Look.of(decoded, self._stream)
                image = self._image(decoded, self._look)
                # After a seek the first number is taken from the time, exact at a constant rate.
                seeked = round(time_s * self._rate) if self._seeked else 0
                index = seeked if index is None else index + 1
                yield Frame(image, index, time_s, self._name, duration_s)
            missing = round((self._announced_s - end_s) * self._rate)
            whole = 0 < self._announced_s <= self._others_end_s
            if last_s is not None and missing > _TOLERATED_SHORTFALL and not whole:
                self.losses.missing_frames = missing
        finally:
            self._container.close()

    def _image(self, decoded: VideoFrame, look: Look) -> Image:
        try:
            return to_image(decoded, look)
        except (SourceError, *BROKEN) as error:
            raise SourceError(f"{self._shown}: {reason_of(error)}") from error

    def _time_s(self, decoded: VideoFrame, last_s: Fraction | None) -> Fraction:
        following_s = Fraction(0) if last_s is None else last_s + 1 / self._rate
        by_packets = self._container.format.name in _IN_DECODING_ORDER
        stamp = decoded.dts if by_packets else decoded.pts
        if stamp is None or decoded.time_base is None or self._counted:
            return following_s
        time_s = stamp * decoded.time_base - self._origin_s
        if by_packets:
            self._delay_s = time_s if self._delay_s is None else self._delay_s
            time_s -= self._delay_s
        if last_s is not None and time_s < last_s - _CLOCK_RESTART_S:
            self._origin_s -= following_s - time_s
            return following_s
        return max(Fraction(0), time_s)

    def _duration_s(self, decoded: VideoFrame) -> Fraction:
        if decoded.duration and decoded.time_base is not None and not self._counted:
            return decoded.duration * decoded.time_base
        return 1 / self._rate

    def _decode(self) -> Iterator[VideoFrame]:
        import av

        packets = self._container.demux(self._stream, *self._heard)
        while True:
            try:
                packet: Packet[Any] | None = next(packets, None)
            except av.error.FFmpegError as error:
                self.losses.broke_off = reason_of(error, self._url)
                packet = None
            if packet is not None and packet.stream.index != self._stream.index:
                self._hear(packet)
                continue
            try:
                # Without a packet the decoder is flushed: the frames it still holds are good.
                decoded = packet.decode() if packet is not None else self._stream.decode(None)
                yield from decoded
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                self.losses.corrupt_packets += 1
            if packet is None:
                return

    def _hear(self, packet: Packet[Any]) -> None:
        if packet.pts is not None and packet.time_base is not None:
            end_s = (packet.pts + (packet.duration or 0)) * packet.time_base - self._origin_s
            self._others_end_s = max(self._others_end_s, end_s)


def _pixel_aspect(stream: VideoStream, orientation: tuple[int, int, int, int]) -> Fraction:
    """Width over height of a pixel as it is shown: not 1 in DVD, DV and HDV."""
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    if aspect <= 0:
        return Fraction(1)
    return aspect if orientation[0] else 1 / aspect  # a quarter turn has it lie on its side


def to_image(decoded: VideoFrame, look: Look) -> Image:
    """A decoded frame as it is to be seen: its own planes where they are 8-bit YUV, else RGB.

    Raises:
        SourceError: FFmpeg cannot convert its pixel format.
    """
    if look.plain and not decoded.interlaced_frame:
        return view_planes(decoded, look.matrix, look.full_range)
    return picture(decoded, look)

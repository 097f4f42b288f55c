"""Depth to look at: H.264 in MP4, with the source's sound, rate and time stamps."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from depthrt.errors import WriteError
from depthrt.files.atomic_write import FileDraft
from depthrt.frame import Frame
from depthrt.render.views import Canvas, View, compose
from depthrt.result import Result
from depthrt.sinks.base import Sink, write_error
from depthrt.sinks.video.audio import Sound
from depthrt.sinks.video.container import close_container, open_container, write_head
from depthrt.sources.base import SourceInfo
from depthrt.sources.video import plane_view
from depthrt.system.cpu_cores import usable_cores
from depthrt.system.interrupts import held, is_noted

if TYPE_CHECKING:
    from av import Packet
    from av.container import OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# A constant quantiser, not crf: x264 then skips its look-ahead, 28-50% of the encoder's CPU time,
# for files of the same size or smaller and 46-52 dB. Nor does it search for blocks so faint that
# they could be left out: with the quantiser one step coarser, size and quality are the same in 0.86
# of the time.
_ENCODER = {"preset": "ultrafast", "qp": "21", "x264-params": "no-dct-decimate=1"}
# Fragmented while it is written. Without edit lists the priming samples of copied sound delay it.
MUXER = {"movflags": "hybrid_fragmented", "use_editlist": "1"}
_KEYFRAME_EVERY_S = 2  # each keyframe begins a fragment, which survives a crash once it is written
# FFmpeg's numbers (ITU-T H.273): colour primaries and transfer of BT.709, matrices, ranges.
_BT709 = 1
_MATRIX = {"bt709": 1, "bt601": 6, "bt2020": 9}
_LIMITED_RANGE, _FULL_RANGE = 1, 2


def key_frame_interval(info: SourceInfo) -> int:
    """Frames from one that is coded alone to the next."""
    return max(1, round(_KEYFRAME_EVERY_S * (info.rate or Fraction(1))))


class Mp4Sink(Sink):
    """Coloured depth as a video that plays in a browser.

    The file is fragmented while it is written, so that it is playable up to a crash or a full disk.
    Closing it makes it a plain MP4. ``threads``: of the encoder; None is half of the cores. Each
    number of threads gives pictures that differ a little.
    """

    def __init__(
        self,
        target: Path,
        info: SourceInfo,
        view: View,
        colormap: str,
        *,
        overwrite: bool = False,
        threads: int | None = None,
    ) -> None:
        self._target, self._draft = target, FileDraft(target, overwrite=overwrite)
        self._info = info
        # As many as the decoder has: the other stages need cores too.
        self._threads = max(1, usable_cores() // 2) if threads is None else threads
        self._view, self._colormap = view, colormap
        self._container: OutputContainer | None = None
        self._has_end = False
        self._last_pts = -1
        self._durations: dict[int, int] = {}  # by time stamp, of the frames inside the encoder
        self._end_s = Fraction(0)  # of the last frame; 0 while there is none

    def write(self, result: Result) -> bool:
        """Compose, encode and write one frame, and the sound up to it."""
        with held():
            container, pts = self._write_picture(result)
        self._write_sound(container, pts * self._info.time_base_s)
        return True

    def close(self, *, complete: bool, cut_short: bool = False) -> Path | None:
        """Write the rest of picture and sound and, when complete, rename the file to its target."""
        container, self._container = self._container, None
        is_whole = complete and not cut_short and self._info.selection.is_whole
        if container is not None:
            try:
                self._write_rest(container, sound_end_s=None if is_whole else self._end_s)
                self._has_end = bool(self._end_s)
            except WriteError:
                if complete:
                    raise
        if not self._end_s:
            self._draft.discard()
        return self._draft.place() if complete and self._has_end else self._draft.kept()

    def _write_picture(self, result: Result) -> tuple[OutputContainer, int]:
        """Compose, encode and write one frame; gives its time stamp in units of the time base."""
        import av

        container = self._container or self._begin(result)
        base_s = self._info.time_base_s
        frame = av.VideoFrame(self._canvas.size[1], self._canvas.size[0], "yuv420p")
        planes = (plane_view(frame, 0), plane_view(frame, 1), plane_view(frame, 2))
        compose(result.frame.pixels, result.depth, result.display_range, self._canvas, planes)
        frame.time_base = base_s
        # Time stamps count from the first wanted frame, and must increase.
        pts = max(self._last_pts + 1, round((result.frame.exact_time_s - self._origin_s) / base_s))
        frame.pts = self._last_pts = pts
        duration = self._durations[pts] = self._duration(result.frame)
        self._encode(container, frame)
        self._end_s = (pts + duration) * base_s
        return container, pts

    def _encode(self, container: OutputContainer, frame: VideoFrame | None) -> None:
        """Encode and write a frame; None: those that the encoder still holds."""
        import av

        try:
            for packet in self._stream.encode(frame):
                if packet.pts is not None:  # the encoder does not keep durations
                    packet.duration = self._durations.pop(packet.pts, 0)
                container.mux(packet)
        except (OSError, av.error.FFmpegError) as error:
            raise write_error(container.name, error) from error

    def _duration(self, frame: Frame) -> int:
        """How long a frame is shown, in units of the time base."""
        stride, rate = self._info.selection.stride, self._info.rate or Fraction(1)
        known_s = frame.exact_duration_s if stride == 1 else None
        return max(1, round((known_s or stride / rate) / self._info.time_base_s))

    def _write_sound(self, container: OutputContainer, time_s: Fraction | None) -> None:
        """Write the sound before a time; None: all that is left."""
        if self._sound is not None:
            for packet in self._sound.until(time_s):
                _mux(container, packet)
                if is_noted():  # somebody waits for the end: the rest of the sound is left out
                    break

    def _write_rest(self, container: OutputContainer, *, sound_end_s: Fraction | None) -> None:
        try:
            self._encode(container, None)
            self._write_sound(container, sound_end_s)
        finally:
            if self._sound is not None:
                self._sound.close()
            close_container(container)

    def _begin(self, result: Result) -> OutputContainer:
        try:
            return self._open(result)
        except BaseException:
            self._draft.discard()
            raise

    def _open(self, result: Result) -> OutputContainer:
        container = open_container(self._draft, self._target, "mp4", MUXER)
        self._origin_s = (
            result.frame.exact_time_s if self._info.selection.start_s > 0 else Fraction(0)
        )
        self._canvas = Canvas.of(result.frame.pixels, self._view, self._colormap)
        self._stream = self._add_stream(container)
        url = self._info.sound
        sound = Sound(url, container, self._origin_s) if url is not None else None
        self._sound = sound if sound is not None and sound.is_there else None
        if sound is not None and self._sound is None:
            sound.close()
        write_head(container)
        self._container = container
        return container

    def _add_stream(self, container: OutputContainer) -> VideoStream:
        options = _ENCODER | {"threads": str(self._threads)}
        stream = container.add_stream("libx264", self._info.selected_rate, options)
        stream.height, stream.width = self._canvas.size
        stream.pix_fmt = "yuv420p"
        stream.time_base = self._info.time_base_s
        context = stream.codec_context
        context.time_base = self._info.time_base_s
        context.sample_aspect_ratio = self._info.pixel_aspect
        context.gop_size = key_frame_interval(self._info)
        context.color_primaries = context.color_trc = _BT709
        context.colorspace = _MATRIX[self._canvas.matrix]
        context.color_range = _FULL_RANGE if self._canvas.full_range else _LIMITED_RANGE
        return stream


def _mux(container: OutputContainer, packet: Packet) -> None:  # type: ignore[type-arg]
    """Write a packet of sound."""
    import av

    try:
        container.mux(packet)
    except (OSError, av.error.FFmpegError) as error:
        raise write_error(container.name, error) from error

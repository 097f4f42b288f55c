"""Depth to look at: H.264 in MP4, with the source's sound, rate and time stamps."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from depthrt.pipeline import Result
from depthrt.sinks.base import partial_name, put_in_place
from depthrt.sinks.muxing import Clock, encode, finish, mux, write_error
from depthrt.sinks.sound import Sound
from depthrt.sources.base import SourceInfo
from depthrt.sources.video import plane_view
from depthrt.views import Canvas, View, compose

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

_QUALITY_CRF = "20"
_KEYFRAME_EVERY_S = 2  # a fragment that survives a crash begins at each keyframe
# FFmpeg's numbers (ITU-T H.273): colour primaries and transfer of BT.709, matrices, ranges.
_BT709 = 1
_MATRIX = {"bt709": 1, "bt601": 6, "bt2020": 9}
_LIMITED_RANGE, _FULL_RANGE = 1, 2


class Mp4Sink:
    """Coloured depth as a video that plays in a browser.

    The file is fragmented while it is written, so that a crash or a full disk leaves what was
    written playable, and becomes a plain MP4 when it is closed.
    """

    def __init__(self, target: Path, info: SourceInfo, view: View, colormap: str) -> None:
        self._target, self._partial = target, partial_name(target)
        self._info = info
        self._view, self._colormap = view, colormap
        self._container: OutputContainer | None = None
        self._frames = 0
        self._end_s = Fraction(0)

    def write(self, result: Result) -> bool:
        """Compose, encode and write one frame, and the sound up to it."""
        import av

        container = self._container or self._open(result)
        frame = av.VideoFrame(self._canvas.size[1], self._canvas.size[0], "yuv420p")
        planes = (plane_view(frame, 0), plane_view(frame, 1), plane_view(frame, 2))
        compose(result.frame.image, result.depth, result.display_range, self._canvas, planes)
        frame.time_base = self._clock.time_base_s
        frame.pts = self._clock.stamp(result.frame.time_s)
        frame.duration = self._duration
        encode(self._stream, frame, container)
        self._frames += 1
        self._end_s = (frame.pts + self._duration) * self._clock.time_base_s
        self._write_sound(container, frame.pts * self._clock.time_base_s)
        return True

    def close(self, *, complete: bool) -> Path | None:
        """Write the delayed frames and the rest of the sound, and put the file in its place."""
        if self._container is None:
            return None
        container, self._container = self._container, None
        try:
            if complete:
                encode(self._stream, None, container)
                self._write_sound(container, None if self._info.selection.is_whole else self._end_s)
        finally:
            if self._sound is not None:
                self._sound.close()
            finish(container)
        return put_in_place(self._partial, self._target) if complete else self._partial

    def _write_sound(self, container: OutputContainer, time_s: Fraction | None) -> None:
        if self._sound is not None:
            for packet in self._sound.until(time_s):
                mux(container, packet)

    def _open(self, result: Result) -> OutputContainer:
        import av

        try:
            container = av.open(
                str(self._partial),
                "w",
                format="mp4",
                options={"movflags": "hybrid_fragmented"},
            )
        except OSError as error:
            raise write_error(self._partial, error) from error
        rate = self._info.rate or Fraction(1)
        base_s = self._info.time_base_s
        origin_s = result.frame.time_s if self._info.selection.start_s > 0 else Fraction(0)
        self._clock = Clock(origin_s, base_s)
        self._duration = max(1, round(self._info.selection.stride / rate / base_s))
        self._canvas = Canvas.of(result.frame.image, self._view, self._colormap)
        options = {"preset": "ultrafast", "crf": _QUALITY_CRF}
        stream = container.add_stream("libx264", rate / self._info.selection.stride, options)
        stream.height, stream.width = self._canvas.size
        stream.pix_fmt = "yuv420p"
        stream.time_base = base_s
        context = stream.codec_context
        context.time_base = base_s
        context.gop_size = max(1, round(_KEYFRAME_EVERY_S * rate))
        context.color_primaries = context.color_trc = _BT709
        context.colorspace = _MATRIX[self._canvas.matrix]
        context.color_range = _FULL_RANGE if self._canvas.full_range else _LIMITED_RANGE
        self._stream: VideoStream = stream
        path = self._info.path
        self._sound = Sound(path, container, origin_s) if path is not None else None
        self._container = container
        return container

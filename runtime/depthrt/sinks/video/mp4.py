"""Depth to look at: H.264 in MP4, with the source's sound, rate and time stamps."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from depthrt.errors import WriteError
from depthrt.files.atomic_write import FileDraft
from depthrt.frame import Frame
from depthrt.interrupts import held, is_noted
from depthrt.model.session import usable_cores
from depthrt.render.views import Canvas, View, compose
from depthrt.result import Result
from depthrt.sinks.video.audio import Sound
from depthrt.sinks.video.container import Clock, begin, encode, finish, mux, write_error
from depthrt.sources.base import SourceInfo
from depthrt.sources.video import plane_view

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

# A constant quantiser, not crf: x264 then skips its look-ahead, 28-50% of the encoder's CPU, at
# equal or smaller files and 46-52 dB. Nor does it look for blocks so faint that they could be left
# out: with a quantiser one step coarser, files of the same size and quality in 0.86 of the time.
_ENCODER = {"preset": "ultrafast", "qp": "21", "x264-params": "no-dct-decimate=1"}
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

    def __init__(
        self,
        target: Path,
        info: SourceInfo,
        view: View,
        colormap: str,
        *,
        overwrite: bool = False,
    ) -> None:
        self._target, self._draft = target, FileDraft(target, overwrite=overwrite)
        self._info = info
        self._view, self._colormap = view, colormap
        self._container: OutputContainer | None = None
        self._is_finished = False
        self._durations: dict[int, int] = {}
        self._end_s = Fraction(0)

    def write(self, result: Result) -> bool:
        """Compose, encode and write one frame, and the sound up to it."""
        with held():
            container, pts = self._write_picture(result)
        self._write_sound(container, pts * self._clock.time_base_s)
        return True

    def close(self, *, complete: bool, cut_short: bool = False) -> Path | None:
        """Write the delayed frames and the rest of the sound, and put the file in its place."""
        container, self._container = self._container, None
        whole = complete and not cut_short and self._info.selection.is_whole
        if container is not None:
            try:
                self._finish(container, None if whole else self._end_s)
                self._is_finished = bool(self._end_s)
            except WriteError:
                if complete:
                    raise
        if not self._end_s:  # not one frame was written
            self._draft.discard()
        return self._draft.place() if complete and self._is_finished else self._draft.kept()

    def _write_picture(self, result: Result) -> tuple[OutputContainer, int]:
        """Compose, encode and write one frame; its time stamp in units of the time base."""
        import av

        container = self._container or self._begin(result)
        frame = av.VideoFrame(self._canvas.size[1], self._canvas.size[0], "yuv420p")
        planes = (plane_view(frame, 0), plane_view(frame, 1), plane_view(frame, 2))
        compose(result.frame.image, result.depth, result.display_range, self._canvas, planes)
        frame.time_base = self._clock.time_base_s
        pts = frame.pts = self._clock.stamp(result.frame.time_s)
        duration = self._durations[pts] = self._duration(result.frame)
        encode(self._stream, frame, container, self._durations)
        self._end_s = (pts + duration) * self._clock.time_base_s
        return container, pts

    def _finish(self, container: OutputContainer, sound_end_s: Fraction | None) -> None:
        try:
            encode(self._stream, None, container, self._durations)
            self._write_sound(container, sound_end_s)
        finally:
            if self._sound is not None:
                self._sound.close()
            finish(container)

    def _duration(self, frame: Frame) -> int:
        """How long a frame is shown: the last one's decides how long the video is."""
        stride, rate = self._info.selection.stride, self._info.rate or Fraction(1)
        known_s = frame.duration_s if stride == 1 else None
        return max(1, round((known_s or stride / rate) / self._clock.time_base_s))

    def _write_sound(self, container: OutputContainer, time_s: Fraction | None) -> None:
        if self._sound is not None:
            for packet in self._sound.until(time_s):
                mux(container, packet)
                if is_noted():  # somebody waits for the end: the rest of the sound is left out
                    break

    def _begin(self, result: Result) -> OutputContainer:
        try:
            return self._open(result)
        except BaseException:
            self._draft.discard()
            raise

    def _open(self, result: Result) -> OutputContainer:
        import av

        try:
            container = av.open(
                str(self._draft.create().absolute()),  # a colon in a name is no protocol
                "w",
                format="mp4",
                # Without edit lists the priming samples of copied sound would delay it.
                options={"movflags": "hybrid_fragmented", "use_editlist": "1"},
            )
        except OSError as error:
            raise write_error(self._target, error) from error
        rate = self._info.rate or Fraction(1)
        base_s = self._info.time_base_s
        origin_s = result.frame.time_s if self._info.selection.start_s > 0 else Fraction(0)
        self._clock = Clock(origin_s, base_s)
        self._canvas = Canvas.of(result.frame.image, self._view, self._colormap)
        # As many threads as the decoder has: the other stages want cores too.
        threads = str(max(1, usable_cores() // 2))
        options = _ENCODER | {"threads": threads}
        stream = container.add_stream("libx264", self._info.selected_rate, options)
        stream.height, stream.width = self._canvas.size
        stream.pix_fmt = "yuv420p"
        stream.time_base = base_s
        context = stream.codec_context
        context.time_base = base_s
        context.sample_aspect_ratio = self._info.pixel_aspect
        context.gop_size = max(1, round(_KEYFRAME_EVERY_S * rate))
        context.color_primaries = context.color_trc = _BT709
        context.colorspace = _MATRIX[self._canvas.matrix]
        context.color_range = _FULL_RANGE if self._canvas.full_range else _LIMITED_RANGE
        self._stream: VideoStream = stream
        url = self._info.sound
        sound = Sound(url, container, origin_s) if url is not None else None
        self._sound = sound if sound is not None and sound.is_there else None
        if sound is not None and self._sound is None:
            sound.close()
        begin(container)
        self._container = container
        return container

"""Depth to compute with as a lossless 16-bit video: FFV1 in Matroska."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from depthrt.depth import Depth
from depthrt.errors import WriteError
from depthrt.files.atomic_write import FileDraft
from depthrt.result import Result
from depthrt.sinks.base import Sink, SinkWarnings, write_error
from depthrt.sinks.depth.codes import TAG_PREFIX, DepthCodes, MapSize, describe, sized
from depthrt.sinks.video.container import close_container, open_container, write_head
from depthrt.sources.base import SourceInfo
from depthrt.spec import ModelSpec
from depthrt.system.interrupts import held

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

KEY_FRAME_EVERY = 12
"""Frames from one that is coded alone to the next."""

_ENCODER = {"level": "3", "slices": "4", "slicecrc": "1"}


class MkvSink(Sink):
    """Depth maps as 16-bit codes; the file's tags say their step, offset and meaning.

    Matroska keeps time stamps to a millisecond and the frame rate exactly. The tags say the size of
    the first picture. ``codes``: their scale, where other files share it.
    """

    def __init__(
        self,
        target: Path,
        info: SourceInfo,
        spec: ModelSpec,
        size: MapSize = "network",
        *,
        overwrite: bool = False,
        codes: DepthCodes | None = None,
    ) -> None:
        self._target, self._draft = target, FileDraft(target, overwrite=overwrite)
        self._info, self._spec, self._size = info, spec, size
        self._given_codes = codes
        self._container: OutputContainer | None = None
        self._last_pts = -1
        self._is_empty, self._has_end = True, False
        self._clamped = 0
        self._image_size = (0, 0)
        self._differ = False  # in size, the pictures

    def write(self, result: Result) -> bool:
        """Encode and write one depth map."""
        with held():
            return self._write(result)

    def close(self, *, complete: bool, cut_short: bool = False) -> Path | None:
        """Write the end of the file and, when complete, rename it to its target."""
        container, self._container = self._container, None
        if container is not None:
            try:
                try:
                    self._encode(container, None)
                finally:
                    close_container(container)
                self._has_end = not self._is_empty
            except WriteError:
                if complete:
                    raise
        if self._is_empty:
            self._draft.discard()
        return self._draft.place() if complete and self._has_end else self._draft.kept()

    def warnings(self) -> SinkWarnings:
        """How many values the codes could not hold, and whether pictures differ in size."""
        said = (
            f"the pictures of {self._target.name} differ in size, and it says that of the first: "
            "write .npz or a folder of PNG to keep each"
        )
        return SinkWarnings(clamped=self._clamped, assumed=said if self._differ else "")

    def _write(self, result: Result) -> bool:
        import av

        depth, time_s = sized(result.depth, self._size), result.frame.exact_time_s
        values = depth.values
        container = self._container or self._begin(depth, time_s)
        if values.shape != self._shape:
            raise WriteError(
                f"the depth map's size changed from {self._shape} to {values.shape}, which a video "
                "cannot hold: write PNG files instead"
            )
        self._differ |= result.depth.image_size != self._image_size
        codes, clamped = self._codes.encode(values, depth.valid)
        self._clamped += clamped
        base_s = self._info.time_base_s
        frame = av.VideoFrame.from_ndarray(codes, format="gray16le")
        frame.time_base = base_s
        # Time stamps count from the first wanted frame, and must increase.
        self._last_pts = max(self._last_pts + 1, round((time_s - self._origin_s) / base_s))
        frame.pts = self._last_pts
        self._encode(container, frame)
        self._is_empty = False
        return True

    def _encode(self, container: OutputContainer, frame: VideoFrame | None) -> None:
        """Encode and write a frame; None: those that the encoder still holds."""
        import av

        try:
            container.mux(self._stream.encode(frame))
        except (OSError, av.error.FFmpegError) as error:
            raise write_error(container.name, error) from error

    def _begin(self, depth: Depth, time_s: Fraction) -> OutputContainer:
        try:
            return self._open(depth, time_s)
        except BaseException:
            self._draft.discard()
            raise

    def _open(self, depth: Depth, time_s: Fraction) -> OutputContainer:
        container = open_container(self._draft, self._target, "matroska")
        codes = self._given_codes or DepthCodes.choose(self._spec, depth.known_values)
        self._codes = codes
        self._image_size = depth.image_size
        self._shape = depth.values.shape
        for key, value in describe(self._spec, depth.image_size, codes).items():
            container.metadata[TAG_PREFIX + key.upper()] = "" if value is None else str(value)
        self._origin_s = time_s if self._info.selection.start_s > 0 else Fraction(0)
        stream = add_stream(container, self._info, depth.values.shape)
        if self._size == "source":
            stream.codec_context.sample_aspect_ratio = self._info.pixel_aspect
        write_head(container)
        self._stream, self._container = stream, container
        return container


def add_stream(container: OutputContainer, info: SourceInfo, shape: tuple[int, ...]) -> VideoStream:
    """Add a stream for depth maps of a shape (h,w) to a container."""
    stream: VideoStream = container.add_stream("ffv1", info.selected_rate, _ENCODER)
    stream.height, stream.width = shape
    stream.pix_fmt = "gray16le"
    stream.codec_context.gop_size = KEY_FRAME_EVERY
    stream.time_base = stream.codec_context.time_base = info.time_base_s
    return stream

"""Depth to compute with: lossless 16-bit video, 16-bit PNG, float32 arrays."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.errors import WriteError
from depthrt.files.atomic_write import FileDraft
from depthrt.interrupts import held
from depthrt.result import Result
from depthrt.sinks.depth.codes import INVALID, TAG_PREFIX, DepthCodes
from depthrt.sinks.frame_folder import DEPTH_FOLDER, FrameFolder
from depthrt.sinks.video.container import Clock, begin, encode, finish, write_error
from depthrt.sources.base import SourceInfo
from depthrt.spec import ModelSpec

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

_PNG_LEVEL = [cv2.IMWRITE_PNG_COMPRESSION, 2]


def describe(spec: ModelSpec, codes: DepthCodes | None = None) -> dict[str, Any]:
    """What a raw output says of its values."""
    content = {
        "kind": spec.kind,
        "unit": spec.unit,
        "larger_is": spec.larger_is,
        "model": spec.name,
    }
    if codes is None:
        return content
    return {**content, "step": codes.step, "offset": codes.offset, "invalid": INVALID}


class MkvSink:
    """Lossless 16-bit depth: FFV1 in Matroska, step, offset and kind in the file's tags.

    Matroska keeps time stamps to a millisecond and the frame rate exactly.
    """

    def __init__(
        self, target: Path, info: SourceInfo, spec: ModelSpec, *, overwrite: bool = False
    ) -> None:
        self._target, self._draft = target, FileDraft(target, overwrite=overwrite)
        self._info, self._spec = info, spec
        self._container: OutputContainer | None = None
        self._is_empty, self._is_finished = True, False
        self.clamped = 0

    def write(self, result: Result) -> bool:
        """Encode the codes of one depth map at the network's size."""
        with held():
            return self._write(result)

    def _write(self, result: Result) -> bool:
        import av

        values = result.depth.values
        container = self._container or self._begin(values, result.frame.time_s)
        if values.shape != self._shape:
            raise WriteError(
                f"the depth map's size changed from {self._shape} to {values.shape}, which a video "
                "cannot hold: write PNG files instead"
            )
        codes, clamped = self._codes.encode(values)
        self.clamped += clamped
        frame = av.VideoFrame.from_ndarray(codes, format="gray16le")
        frame.time_base = self._clock.time_base_s
        frame.pts = self._clock.stamp(result.frame.time_s)
        encode(self._stream, frame, container)
        self._is_empty = False
        return True

    def close(self, *, complete: bool, cut_short: bool = False) -> Path | None:
        """Write the end of the file and put it in its place."""
        container, self._container = self._container, None
        if container is not None:
            try:
                try:
                    encode(self._stream, None, container)
                finally:
                    finish(container)
                self._is_finished = not self._is_empty
            except WriteError:
                if complete:
                    raise
        if self._is_empty:
            self._draft.discard()
        return self._draft.place() if complete and self._is_finished else self._draft.kept()

    def _begin(self, values: NDArray[np.float32], time_s: Fraction) -> OutputContainer:
        try:
            return self._open(values, time_s)
        except BaseException:
            self._draft.discard()
            raise

    def _open(self, values: NDArray[np.float32], time_s: Fraction) -> OutputContainer:
        import av

        try:
            container = av.open(str(self._draft.create().absolute()), "w", format="matroska")
        except OSError as error:
            raise write_error(self._target, error) from error
        self._codes = DepthCodes.choose(self._spec, values)
        self._shape = values.shape
        for key, value in describe(self._spec, self._codes).items():
            container.metadata[TAG_PREFIX + key.upper()] = "" if value is None else str(value)
        selection = self._info.selection
        self._clock = Clock(
            time_s if selection.start_s > 0 else Fraction(0), self._info.time_base_s
        )
        options = {"level": "3", "slices": "4", "slicecrc": "1"}
        stream: VideoStream = container.add_stream("ffv1", self._info.selected_rate, options)
        stream.height, stream.width = values.shape
        stream.pix_fmt = "gray16le"
        stream.time_base = stream.codec_context.time_base = self._info.time_base_s
        begin(container)
        self._stream, self._container = stream, container
        return container


class PngFolderSink:
    """One 16-bit PNG a frame, with ``depth.json`` beside them: scale, kind, files and times."""

    def __init__(self, target: Path, spec: ModelSpec, *, overwrite: bool = False) -> None:
        self._folder = FrameFolder(target, DEPTH_FOLDER, overwrite=overwrite)
        self._spec = spec
        self._codes: DepthCodes | None = None
        self.clamped = 0

    def write(self, result: Result) -> bool:
        """Write one file."""
        if self._codes is None:
            self._codes = DepthCodes.choose(self._spec, result.depth.values)
        codes, clamped = self._codes.encode(result.depth.values)
        self.clamped += clamped
        _, content = cv2.imencode(".png", codes, _PNG_LEVEL)
        self._folder.add(result.frame, ".png", content.tobytes())
        return True

    def close(self, *, complete: bool, cut_short: bool = False) -> Path | None:
        """Write ``depth.json`` and put the folder in its place."""
        about = {} if self._codes is None else describe(self._spec, self._codes)
        return self._folder.close(about, complete=complete)

"""Depth to compute with: lossless 16-bit video, 16-bit PNG, float32 arrays."""

from __future__ import annotations

import zipfile
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt.depth_codes import INDEX_FILE, INVALID, TAG_PREFIX, DepthCodes
from depthrt.errors import WriteError
from depthrt.pipeline import Result
from depthrt.sinks.base import left_over, partial_name, put_in_place
from depthrt.sinks.folder import FrameFolder
from depthrt.sinks.muxing import Clock, begin, encode, finish, write_error
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

    def __init__(self, target: Path, info: SourceInfo, spec: ModelSpec) -> None:
        self._target, self._partial = target, partial_name(target)
        self._info, self._spec = info, spec
        self._container: OutputContainer | None = None
        self._begun = False
        self.clamped = 0

    def write(self, result: Result) -> bool:
        """Encode the codes of one depth map at the network's size."""
        import av

        values = result.depth.values
        container = self._container or self._open(values, result.frame.time_s)
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
        return True

    def close(self, *, complete: bool, cut_short: bool = False) -> Path | None:
        """Write the end of the file and put it in its place."""
        container, self._container = self._container, None
        if container is None:
            return left_over(self._partial) if self._begun and not complete else None
        try:
            try:
                encode(self._stream, None, container)
            finally:
                finish(container)
        except WriteError:
            if complete:
                raise
            return left_over(self._partial)
        return put_in_place(self._partial, self._target) if complete else self._partial

    def _open(self, values: NDArray[np.float32], time_s: Fraction) -> OutputContainer:
        import av

        try:
            container = av.open(str(self._partial.absolute()), "w", format="matroska")
        except OSError as error:
            raise write_error(self._partial, error) from error
        self._begun = True
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

    def __init__(self, target: Path, info: SourceInfo, spec: ModelSpec) -> None:
        self._folder = FrameFolder(target, INDEX_FILE)
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


class NpzSink:
    """float32 depth N,h,w exactly as the model gave it, with times, for ``numpy.load``.

    Frames go to a file beside the target as they come, so memory does not grow with their number.
    """

    def __init__(self, target: Path, info: SourceInfo, spec: ModelSpec) -> None:
        self._target, self._partial = target, partial_name(target)
        self._raw: Path | None = None
        self._spec = spec
        self._file: IO[bytes] | None = None
        self._index: list[int] = []
        self._time_s: list[float] = []

    def write(self, result: Result) -> bool:
        """Append one depth map."""
        values = result.depth.values
        try:
            if self._file is None:
                height, width = self._shape = values.shape
                self._raw = self._partial.with_suffix(f".{height}x{width}.f32")
                self._file = self._raw.open("wb")
            if values.shape != self._shape:
                raise WriteError(
                    f"the depth map's size changed from {self._shape} to {values.shape}, which one "
                    "array cannot hold: write PNG files instead"
                )
            self._file.write(np.ascontiguousarray(values).tobytes())
        except WriteError:
            raise
        except OSError as error:
            raise write_error(self._partial, error) from error
        self._index.append(result.frame.index)
        self._time_s.append(float(result.frame.time_s))
        return True

    def close(self, *, complete: bool, cut_short: bool = False) -> Path | None:
        """Pack what was written into the ``.npz`` and put it in its place.

        Packing needs as much space again; without it the maps stay in the ``.f32`` file, one after
        the other, their height and width in its name.
        """
        file, self._file = self._file, None
        if self._raw is None:
            return None
        if file is None:
            return None if complete else left_over(self._raw)
        try:
            file.close()
        except OSError as error:
            if complete:
                raise write_error(self._raw, error) from error
        try:
            self._pack(self._raw)
        except OSError as error:
            self._partial.unlink(missing_ok=True)
            if complete:
                raise write_error(self._partial, error) from error
            return left_over(self._raw)
        self._raw.unlink()
        return put_in_place(self._partial, self._target) if complete else self._partial

    def _pack(self, maps: Path) -> None:
        # What a full disk cut off is left out: only whole maps are packed.
        map_bytes = 4 * int(np.prod(self._shape))
        count = min(len(self._index), maps.stat().st_size // map_bytes)
        small = {
            "time_s": np.array(self._time_s[:count], np.float64),
            "index": np.array(self._index[:count], np.int64),
            **{key: np.array(value or "") for key, value in describe(self._spec).items()},
        }
        with zipfile.ZipFile(self._partial, "w", zipfile.ZIP_STORED) as archive:
            for key, array in small.items():
                with archive.open(f"{key}.npy", "w") as entry:
                    np.lib.format.write_array(entry, array, allow_pickle=False)
            with archive.open("depth.npy", "w", force_zip64=True) as entry:
                shape = (count, *self._shape)
                header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(entry, header)
                with maps.open("rb") as raw:
                    for _ in range(count):
                        entry.write(raw.read(map_bytes))

"""A segment whose network was run ahead: prepared pixels and depth of its frames, in a file."""

from __future__ import annotations

import io
import pickle
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from depthrt.frame import Frame, image_size
from depthrt.model.depth_model import DepthModel
from depthrt.pipeline.batch import StreamPostprocessor
from depthrt.result import Result
from depthrt.sinks.base import write_error
from depthrt.temporal.keyframes import Estimate
from depthrt_archives.work.memory import Pickler, Unpickler
from depthrt_archives.work.segment_source import Mark

_HEAD = struct.Struct("<QI")  # bytes and CRC-32 of what follows


@dataclass(frozen=True, eq=False)
class Inferred:
    """One frame: ``pixels`` are what the network saw (uint8 RGB 3,h,w)."""

    frame: Frame
    pixels: NDArray[np.uint8]
    estimate: Estimate


@dataclass(frozen=True)
class AheadEnd:
    """The last entry of the file: marks of the first frames and of those beyond, and losses."""

    first: tuple[Mark, ...]
    beyond: tuple[Mark, ...]
    lost: str


class BrokenAhead(Exception):  # noqa: N818  (it is no error of the run: the segment is computed)
    """The file is not whole."""


@dataclass
class Recorder(StreamPostprocessor):
    """Writes frames as the network left them, in the place of post-processing."""

    file: IO[bytes] | None = field(default=None, repr=False)

    def result(
        self,
        frame: Frame,
        pixels: NDArray[np.uint8],
        found: Estimate | None,
        model: DepthModel,
    ) -> Result:
        """Write the frame; the result is of no use but to count it."""
        if found is None or self.file is None:
            raise RuntimeError("every frame is computed ahead, and has a file")
        _append(self.file, Inferred(frame, pixels, found), model)
        self.stats.frames += 1
        depth = model.depth(found.made.depth, image_size(frame.pixels))
        return Result(frame, depth, (0.0, 1.0), scene_cut=False)


def write_end(file: IO[bytes], end: AheadEnd, model: DepthModel) -> None:
    """Write the last entry.

    Raises:
        WriteError: the disk is full.
    """
    _append(file, end, model)


def read_ahead(path: Path, model: DepthModel) -> Iterator[Inferred | AheadEnd]:
    """The frames, then the end.

    Raises:
        BrokenAhead: it is not whole.
    """
    try:
        with path.open("rb") as file:
            while True:
                head = file.read(_HEAD.size)
                size, crc = _HEAD.unpack(head)
                data = file.read(size)
                if len(data) != size or zlib.crc32(data) != crc:
                    raise BrokenAhead
                entry = Unpickler(io.BytesIO(data), model).load()
                yield entry
                if isinstance(entry, AheadEnd):
                    return
    except (OSError, struct.error, pickle.UnpicklingError) as error:
        raise BrokenAhead from error


def _append(file: IO[bytes], entry: Inferred | AheadEnd, model: DepthModel) -> None:
    content = io.BytesIO()
    Pickler(content, model).dump(entry)
    data = content.getbuffer()
    try:
        file.write(_HEAD.pack(len(data), zlib.crc32(data)))
        file.write(data)
    except OSError as error:
        raise write_error(getattr(file, "name", "a file"), error) from error

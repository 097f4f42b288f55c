"""What a segment hands over to the next one, as bytes in a file with a checksum.

The bytes are Python's own (pickle), as the state of a stream is made of small objects of many
kinds. They are read from the folder that this job wrote alone.
"""

from __future__ import annotations

import io
import pickle
import zlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np

from depthrt.files.atomic_write import new_file
from depthrt.model.depth_model import DepthModel
from depthrt.pipeline.batch import StreamPostprocessor
from depthrt.pipeline.gap_batch import GapChain
from depthrt.result import Result
from depthrt.sinks.depth.codes import DepthCodes
from depthrt.temporal.optical_flow import OpticalFlow
from depthrt_archives.work.segment_source import Mark

_MODEL = "model"
_CHECK_BYTES = 8


@dataclass(frozen=True, eq=False)
class Memory:
    """What is known at the end of a segment.

    - ``postprocessor``: what looks back in time;
    - ``next_index``: number of the next frame;
    - ``pending``: results that no part holds yet;
    - ``beyond``: marks of the frames that come next;
    - ``taken``: how many of these are done already, as they belong to the last gap;
    - ``gaps``: with keyframes, what the next gap goes on from;
    - ``codes``: scale of 16-bit depth, where there is one;
    - ``part``: CRC-32 of the segment's part, 0 where there is none;
    - ``origin_s``: time of the first result in the part, in seconds;
    - ``clamped``, ``lost``: what the record of the output says in the end.
    """

    postprocessor: StreamPostprocessor
    next_index: int
    pending: tuple[Result, ...]
    beyond: tuple[Mark, ...]
    taken: int = 0
    gaps: GapChain | None = None
    codes: DepthCodes | None = None
    part: int = 0
    origin_s: Fraction = Fraction(0)
    clamped: int = 0
    lost: tuple[str, ...] = ()


class Pickler(pickle.Pickler):
    """Writes results and memories: the model by name alone, empty pictures as their shape."""

    def __init__(self, file: IO[bytes], model: DepthModel) -> None:
        super().__init__(file, protocol=5)
        self._model = model

    def persistent_id(self, thing: Any) -> str | None:
        """The name of what is not written."""
        return _MODEL if thing is self._model else None

    def reducer_override(self, thing: Any) -> Any:
        """How some objects are written."""
        if isinstance(thing, np.ndarray) and thing.size > 1 and not any(thing.strides):
            return np.broadcast_to, (thing.flat[0], thing.shape)
        if isinstance(thing, OpticalFlow):  # it keeps buffers alone
            return OpticalFlow, ()
        return NotImplemented


class Unpickler(pickle.Unpickler):
    """Reads what :class:`Pickler` wrote."""

    def __init__(self, file: IO[bytes], model: DepthModel) -> None:
        super().__init__(file)
        self._model = model

    def persistent_load(self, name: Any) -> DepthModel:
        """What the name stands for here."""
        if name != _MODEL:
            raise pickle.UnpicklingError(f"unknown name {name!r}")
        return self._model


def save_memory(path: Path, memory: Memory, model: DepthModel) -> None:
    """Write a memory, whole or not at all.

    Raises:
        WriteError: it cannot be written.
    """
    content = io.BytesIO()
    Pickler(content, model).dump(memory)
    data = content.getvalue()
    with new_file(path, overwrite=True) as place:
        place.write_bytes(f"{zlib.crc32(data):08x}".encode() + data)


def load_memory(path: Path, model: DepthModel) -> Memory | None:
    """A memory; None where there is none, or it is not whole."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    data = content[_CHECK_BYTES:]
    if content[:_CHECK_BYTES] != f"{zlib.crc32(data):08x}".encode():
        return None
    memory = Unpickler(io.BytesIO(data), model).load()
    return memory if isinstance(memory, Memory) else None

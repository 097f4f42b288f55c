"""An array that grows beside the main one of an .npz, until the archive takes it in."""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HEADER_BYTES = 192  # of the .npy header of a growing array: room for any count, a multiple of 64
_PIECE_BYTES = 1 << 18  # that are moved at a time
_SLACK_BYTES = 1 << 16  # pieces take more or fewer whole blocks of the disk than they leave


class SideArray:
    """Maps of one shape and type in a file that has no name and vanishes with the process.

    Args:
        folder: where it lies: on the disk of the archive.
        name: the array's.
        first: a map like those to come.

    ``has_moved``: maps have left it for the archive, so that none can be dropped any more.

    Raises:
        OSError: no file can be made there.
    """

    def __init__(self, folder: Path, name: str, first: NDArray[Any]) -> None:
        self.name, self._shape, self._type = name, first.shape, first.dtype.newbyteorder("<")
        self._map_bytes = first.nbytes
        self._crcs = [0]  # of no map, of the first one, of the first two, ...
        self.has_moved = False
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 (see close)

    def append(self, values: NDArray[Any]) -> None:
        """Add a map. If that fails, the part of it that was written does not count.

        Raises:
            OSError: the disk is full, or fails.
        """
        content = np.ascontiguousarray(values, self._type).tobytes()
        self._file.seek(self.size)
        left = memoryview(content)
        while left:
            left = left[self._file.write(left) :]
        self._crcs.append(zlib.crc32(content, self._crcs[-1]))

    def keep(self, count: int) -> None:
        """Forget all but the first maps."""
        del self._crcs[count + 1 :]

    @property
    def size(self) -> int:
        """Bytes of its maps."""
        return (len(self._crcs) - 1) * self._map_bytes

    @property
    def crc(self) -> int:
        """The CRC-32 of its maps."""
        return self._crcs[-1]

    def header(self) -> bytes:
        """The .npy header before them."""
        return npy_header(self._type.str, (len(self._crcs) - 1, *self._shape))

    def move(self, target: int, offset: int) -> None:
        """Move its maps to ``offset`` of an open file, the last ones first.

        What was moved is cut off here at once, so that no disk needs room for both. If there is
        no room for the first piece and some slack, nothing has been moved.

        Raises:
            OSError: the disk is full, or fails.
        """
        self._file.truncate(self.size)
        write_all(target, bytes(min(_SLACK_BYTES, self.size)), offset)
        end = self.size
        while end:
            begin = max(0, end - _PIECE_BYTES)
            self._file.seek(begin)
            write_all(target, self._file.read(end - begin), offset + begin)
            self.has_moved = True
            self._file.truncate(begin)
            end = begin

    def close(self) -> None:
        """Give up the file."""
        self._file.close()


def write_all(file: int, content: bytes, offset: int) -> None:
    """Write to a place of an open file.

    Raises:
        OSError: the disk is full, or fails.
    """
    os.lseek(file, offset, os.SEEK_SET)
    left = memoryview(content)
    while left:
        left = left[os.write(file, left) :]


def npy_header(kind: str, shape: tuple[int, ...]) -> bytes:
    """The header of a .npy (format 1.0) of numbers such as ``<f4``, always of the same length."""
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode("ascii")
    blank = HEADER_BYTES - 10
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", blank) + text.ljust(blank - 1) + b"\n"

"""An .npz that grows by one map at a time and can be ended at any time.

The maps come first in the file, so that each is written once, to its final place. The header before
them says how many there are, and is rewritten at the end; the small arrays and the archive's
directory come after them. Python's zipfile cannot do that: it must know the checksum and size of an
entry beforehand, or write them after it. Other arrays that grow wait in files of their own and are
moved behind the maps at the end.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.sinks.base import BINARY
from depthrt.sinks.depth.side_array import HEADER_BYTES, SideArray, npy_header, write_all

# PKWARE's APPNOTE.TXT, 4.3. Sizes and offsets are always in the ZIP64 fields.
_ZIP64, _DATE_1980, _ALL = 45, 33, 0xFFFFFFFF
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_SIZES = struct.Struct("<2H2Q")
_SIZES_AND_OFFSET = struct.Struct("<2H3Q")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_END = struct.Struct("<4s4H2IH")


@dataclass(frozen=True)
class _Entry:
    """One file in the archive, uncompressed: ``size`` bytes, its local header at ``offset``."""

    name: bytes
    crc: int
    size: int
    offset: int

    def local_header(self) -> bytes:
        sizes = _SIZES.pack(1, 16, self.size, self.size)
        fields = (_ZIP64, 0, 0, 0, _DATE_1980, self.crc, _ALL, _ALL, len(self.name), len(sizes))
        return _LOCAL.pack(b"PK\x03\x04", *fields) + self.name + sizes

    def directory_entry(self) -> bytes:
        extra = _SIZES_AND_OFFSET.pack(1, 24, self.size, self.size, self.offset)
        fields = (_ZIP64, _ZIP64, 0, 0, 0, _DATE_1980, self.crc, _ALL, _ALL, len(self.name))
        return (
            _CENTRAL.pack(b"PK\x01\x02", *fields, len(extra), 0, 0, 0, 0, _ALL) + self.name + extra
        )


class GrowingNpz:
    """An .npz file with an array of float32 maps (N,h,w), whose N grows, and others beside it.

    Args:
        path: an existing file, which is overwritten.
        name: the array's name.
        shape: h and w.
        beside: the first map of each other array, by its name.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        shape: tuple[int, ...],
        beside: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        self._name, self._shape = f"{name}.npy".encode(), shape
        self._map_bytes = 4 * int(np.prod(shape))
        self._begin = len(_Entry(self._name, 0, 0, 0).local_header()) + HEADER_BYTES
        self._crcs = [0]  # of no map, of the first one, of the first two, ...
        self._sides = [
            SideArray(path.parent, each, first) for each, first in (beside or {}).items()
        ]
        self._file = os.open(path, os.O_WRONLY | BINARY)
        self._write_head()  # so that the maps can be read if the process is killed

    @property
    def count(self) -> int:
        """How many maps the file holds."""
        return len(self._crcs) - 1

    @property
    def can_shrink(self) -> bool:
        """Whether maps can still be dropped: not while the arrays beside them are being moved."""
        return not any(side.has_moved for side in self._sides)

    def append(
        self, values: NDArray[np.float32], beside: Mapping[str, NDArray[Any]] | None = None
    ) -> None:
        """Add a map (h,w). If that fails, the part of it that was written does not count.

        Raises:
            OSError: the disk is full, or fails.
        """
        count = self.count
        try:
            for side in self._sides:
                side.append((beside or {})[side.name])
            content = np.ascontiguousarray(values, "<f4").tobytes()
            write_all(self._file, content, self._begin + count * self._map_bytes)
        except OSError:
            self._keep(count)
            raise
        self._crcs.append(zlib.crc32(content, self._crcs[-1]))

    def drop_last(self) -> None:
        """Forget the last map."""
        self._keep(self.count - 1)

    def end(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write the header, ``arrays`` by name, and the directory; move other arrays in.

        After an error it may be called again with fewer maps, as long as it ``can_shrink``.

        Raises:
            OSError: the disk is full, or fails.
        """
        offset = self._begin + self.count * self._map_bytes
        os.ftruncate(self._file, offset)
        entries, places = [self._write_head()], {}
        for side in self._sides:
            head, entry = self._side_head(side, offset)
            write_all(self._file, head, offset)
            entries.append(entry)
            places[side.name] = offset + len(head)
            offset += len(head) + side.size
        tail = io.BytesIO()
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            stored = content.getvalue()
            begin = offset + tail.tell()
            entry = _Entry(f"{name}.npy".encode(), zlib.crc32(stored), len(stored), begin)
            entries.append(entry)
            tail.write(entry.local_header() + stored)
        tail.write(_directory(entries, offset + tail.tell()))
        write_all(self._file, tail.getvalue(), offset)
        # The largest first: if there is room for its first piece, there is for all.
        for side in sorted(self._sides, key=lambda side: -side.size):
            side.move(self._file, places[side.name])

    def close(self) -> None:
        """Close the file.

        Raises:
            OSError: the disk fails.
        """
        file, self._file = self._file, -1
        for side in self._sides:
            side.close()
        if file >= 0:
            os.close(file)

    def _keep(self, count: int) -> None:
        del self._crcs[count + 1 :]
        for side in self._sides:
            side.keep(count)

    def _side_head(self, side: SideArray, offset: int) -> tuple[bytes, _Entry]:
        """What comes before the maps of another array at ``offset``, and its entry."""
        header = side.header()
        crc = _joined_crc(zlib.crc32(header), side.crc, side.size)
        entry = _Entry(f"{side.name}.npy".encode(), crc, len(header) + side.size, offset)
        return entry.local_header() + header, entry

    def _write_head(self) -> _Entry:
        """Write the header before the maps."""
        header, size = npy_header("<f4", (self.count, *self._shape)), self.count * self._map_bytes
        crc = _joined_crc(zlib.crc32(header), self._crcs[-1], size)
        entry = _Entry(self._name, crc, len(header) + size, 0)
        write_all(self._file, entry.local_header() + header, 0)
        return entry


def _directory(entries: list[_Entry], offset: int) -> bytes:
    """The directory of an archive, which begins at ``offset``, and the records that end it."""
    entries_bytes = b"".join(entry.directory_entry() for entry in entries)
    count, size = len(entries), len(entries_bytes)
    end_64 = _END_64.pack(
        b"PK\x06\x06", _END_64.size - 12, _ZIP64, _ZIP64, 0, 0, count, count, size, offset
    )
    locator = _LOCATOR.pack(b"PK\x06\x07", 0, offset + size, 1)
    end = _END.pack(b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, _ALL, _ALL, 0)
    return entries_bytes + end_64 + locator + end


def _joined_crc(first: int, second: int, second_bytes: int) -> int:
    """The CRC-32 of two byte strings in a row, from the CRC-32 of each.

    A CRC is a remainder of polynomials over GF(2): what is moved up by n bits is multiplied by x**n
    (zlib's crc32_combine).
    """
    shift, power = 1 << 31, 1 << 23  # 1 and x**8; the highest bit is the lowest power
    while second_bytes:
        if second_bytes & 1:
            shift = _product(shift, power)
        power = _product(power, power)
        second_bytes >>= 1
    return _product(first, shift) ^ second


def _product(one: int, other: int) -> int:
    """The product of two polynomials modulo CRC-32's."""
    product = 0
    for bit in range(31, -1, -1):
        if one >> bit & 1:
            product ^= other
        other = (other >> 1) ^ (0xEDB88320 if other & 1 else 0)
    return product

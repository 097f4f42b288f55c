"""How many pixels a HEIC photo is decoded from, by the sizes of its parts (ISO 14496-12, 23008-12).

The size that a photo states is not that of its parts: a small one may be put together from huge
ones, which takes gigabytes. The decoder holds each part to its own stated size, so these tell.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

_CODED, _GRID = b"hvc1", b"grid"
_MOST_BOXES, _META_BYTES = 64, 1 << 20  # of a file, and of what describes it: phones write some KB


@dataclass
class _Items:
    """What the boxes say: kinds of items by number, their properties, and what they are made of."""

    primary: int = 0
    kinds: dict[int, bytes] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)  # pixels, of each property; 0: it is no size
    properties: dict[int, list[int]] = field(default_factory=dict)
    parts: dict[int, list[int]] = field(default_factory=dict)

    def pixels(self, item: int) -> int:
        """Of an item, by its own stated size."""
        return max((self.sizes[index - 1] for index in self.properties.get(item, ())), default=0)


def decoded_pixels(content: bytes) -> int:
    """Pixels of all parts that the main picture is made of.

    Raises:
        ValueError: the boxes are broken, or it is made otherwise than of one part or of tiles.
    """
    try:
        items = _read(content)
        kind = items.kinds[items.primary]
        parts = items.parts.get(items.primary, []) if kind == _GRID else [items.primary]
        if any(items.kinds[part] != _CODED for part in parts):
            raise ValueError(f"it is made of {kind.decode('latin-1')}, which is not taken")
        return sum(map(items.pixels, parts))
    except (struct.error, KeyError, IndexError, StopIteration) as error:
        raise ValueError("its boxes are broken") from error


def _read(content: bytes) -> _Items:
    items, found = _Items(), islice(_boxes(content, 0, len(content)), _MOST_BOXES)
    begin, end = next((begin, end) for kind, begin, end in found if kind == b"meta")
    if end - begin > _META_BYTES:
        raise ValueError("its description is too long")
    for kind, first, last in _boxes(content, begin + 4, end):
        version, at = content[first], first + 4
        if kind == b"pitm":
            (items.primary,) = struct.unpack_from(">I" if version else ">H", content, at)
        elif kind == b"iinf":
            _read_kinds(content, at + (4 if version else 2), last, items)
        elif kind == b"iref":
            _read_parts(content, at, last, items, ">I" if version else ">H")
        elif kind == b"iprp":
            _read_properties(content, first, last, items)
    return items


def _read_kinds(content: bytes, begin: int, end: int, items: _Items) -> None:
    for kind, at, _ in _boxes(content, begin, end):
        if kind == b"infe" and content[at] >= 2:
            form = ">IH4s" if content[at] > 2 else ">HH4s"
            number, _, item_kind = struct.unpack_from(form, content, at + 4)
            items.kinds[number] = item_kind


def _read_parts(content: bytes, begin: int, end: int, items: _Items, form: str) -> None:
    step = struct.calcsize(form)
    for kind, at, _ in _boxes(content, begin, end):
        if kind == b"dimg":
            (whole,) = struct.unpack_from(form, content, at)
            (count,) = struct.unpack_from(">H", content, at + step)
            numbers = struct.unpack_from(f">{count}{form[1]}", content, at + step + 2)
            items.parts[whole] = list(numbers)


def _read_properties(content: bytes, begin: int, end: int, items: _Items) -> None:
    for kind, at, last in _boxes(content, begin, end):
        if kind == b"ipco":
            for name, first, _ in _boxes(content, at, last):
                width, height = 0, 0
                if name == b"ispe":
                    width, height = struct.unpack_from(">II", content, first + 4)
                items.sizes.append(width * height)
        elif kind == b"ipma":
            version, wide = content[at], content[at + 3] & 1
            (count,) = struct.unpack_from(">I", content, at + 4)
            at += 8
            for _ in range(min(count, last - at)):
                (number,) = struct.unpack_from(">I" if version else ">H", content, at)
                at += 4 if version else 2
                length, form, mask = content[at], "H" if wide else "B", 0x7FFF if wide else 0x7F
                found = struct.unpack_from(f">{length}{form}", content, at + 1)
                items.properties[number] = [index & mask for index in found if index & mask]
                at += 1 + length * (2 if wide else 1)


def _boxes(content: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and end of the content of each box; one that does not fit is the last."""
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", content, at)
        begin = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", content, begin)
            begin += 8
        last = end if size == 0 else at + size
        if last > end or last < begin:
            return
        yield kind, begin, last
        at = last

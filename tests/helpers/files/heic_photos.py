"""HEIF photos (ISO 23008-12), written as phones write them."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray


def box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def full_box(kind: bytes, version: int, *parts: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24), *parts)


def coded(image: NDArray[np.uint8]) -> tuple[bytes, bytes]:
    """The hvcC box and the one sample of an HEVC picture."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream: Any = container.add_stream(
            "libx265", 25, {"x265-params": "log-level=none:keyint=1:info=0"}
        )
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    data = file.getvalue()
    begin = data.index(b"hvcC") - 4
    (size,) = struct.unpack(">I", data[begin : begin + 4])
    file.seek(0)
    with av.open(file) as container:
        packets = [bytes(packet) for packet in container.demux(container.streams.video[0])]
    return data[begin : begin + size], b"".join(packets)


def heic(
    tiles: Sequence[NDArray[np.uint8]],
    columns: int = 1,
    exif: bytes = b"",
    *,
    quarter_turns: int = 0,
    claimed: tuple[int, int] | None = None,
) -> bytes:
    """A photo of one picture, or of tiles.

    Args:
        tiles: uint8 RGB H,W,3, of one size.
        columns: of tiles.
        exif: a TIFF structure, if there is to be one.
        quarter_turns: counter-clockwise, by which it is to be shown (irot).
        claimed: height and width that the file says of a single picture; None: the true ones.
    """
    height, width = tiles[0].shape[:2]
    rows = len(tiles) // columns
    items: list[tuple[bytes, bytes]] = []
    for tile in tiles:
        setup, sample = coded(tile)
        items.append((b"hvc1", sample))
    primary = 1
    if len(tiles) > 1:
        sides = struct.pack(">HH", width * columns, height * rows)
        items.append((b"grid", bytes([0, 0, rows - 1, columns - 1]) + sides))
        primary = len(items)
    references = b""
    if len(tiles) > 1:
        numbers = [primary, len(tiles), *range(1, len(tiles) + 1)]
        references += box(b"dimg", struct.pack(f">{len(numbers)}H", *numbers))
    if exif:
        items.append((b"Exif", bytes(4) + exif))
        references += box(b"cdsc", struct.pack(">HHH", len(items), 1, primary))
    sizes = [claimed[::-1] if claimed else (width, height), (width * columns, height * rows)]
    extents = [full_box(b"ispe", 0, struct.pack(">II", *size)) for size in sizes]
    kinds = [(number, kind) for number, (kind, _) in enumerate(items, 1)]
    of_item = {b"hvc1": [1, 2], b"grid": [3]}
    properties = [
        (number, [*of_item[kind], *([4] if number == primary and quarter_turns else [])])
        for number, kind in kinds
        if kind in of_item
    ]
    turn = box(b"irot", bytes([quarter_turns])) if quarter_turns else b""

    def meta(begin: int) -> bytes:
        places = b""
        for number, (_, content) in enumerate(items, 1):
            places += struct.pack(">HHHII", number, 0, 1, begin, len(content))
            begin += len(content)
        entries = [full_box(b"infe", 2, struct.pack(">HH", n, 0), k, b"\0") for n, k in kinds]
        associations = [
            struct.pack(">HB", number, len(found)) + bytes(0x80 | index for index in found)
            for number, found in properties
        ]
        parts = [
            full_box(b"hdlr", 0, bytes(4), b"pict", bytes(13)),
            full_box(b"pitm", 0, struct.pack(">H", primary)),
            full_box(b"iloc", 0, struct.pack(">BBH", 0x44, 0, len(items)), places),
            full_box(b"iinf", 0, struct.pack(">H", len(items)), *entries),
            full_box(b"iref", 0, references),
            box(
                b"iprp",
                box(b"ipco", setup, *extents, turn),
                full_box(b"ipma", 0, struct.pack(">I", len(properties)), *associations),
            ),
        ]
        return full_box(b"meta", 0, *parts)

    head = box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    begin = len(head) + len(meta(0)) + 8
    return head + meta(begin) + box(b"mdat", *(content for _, content in items))

"""PLY files, read by the letter of the format."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_TYPES = {"float": "f4", "uchar": "u1", "double": "f8", "int": "i4"}


class Ply(NamedTuple):
    """The vertices of a file: ``xyz`` (N,3), ``rgb`` (N,3), its comments, ``normals`` (N,3)."""

    xyz: NDArray[np.float32]
    rgb: NDArray[np.uint8]
    comments: list[str]
    normals: NDArray[np.float32] | None = None


def read_ply(path: Path) -> Ply:
    """Read a binary little-endian PLY of coloured vertices; anything else is a ValueError."""
    head, _, body = path.read_bytes().partition(b"end_header\n")
    lines = head.decode("ascii").splitlines()
    if lines[:2] != ["ply", "format binary_little_endian 1.0"]:
        raise ValueError(f"{path} is no little-endian PLY: {lines[:2]}")
    words = [line.split() for line in lines[2:]]
    (element,) = [word[1:] for word in words if word[0] == "element"]
    fields = [(word[2], "<" + _TYPES[word[1]]) for word in words if word[0] == "property"]
    vertices = np.frombuffer(body, np.dtype(fields))
    if element != ["vertex", str(len(vertices))]:
        raise ValueError(f"{path} says {element}, but holds {len(vertices)} vertices")
    normals = ("nx", "ny", "nz")
    return Ply(
        np.stack([vertices[name] for name in "xyz"], axis=-1),
        np.stack([vertices[name] for name in ("red", "green", "blue")], axis=-1),
        [line.removeprefix("comment ") for line in lines if line.startswith("comment ")],
        np.stack([vertices[name] for name in normals], axis=-1)
        if set(normals) <= set(vertices.dtype.names or ())
        else None,
    )

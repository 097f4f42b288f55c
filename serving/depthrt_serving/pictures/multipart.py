"""The parts of a multipart/form-data body that is in memory (RFC 7578, RFC 2046)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from depthrt_serving.http.problems import ProblemError

_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))')
_MOST_PARTS = 1024


def parts_of(kind: str, body: bytes) -> Iterator[bytes]:
    """The content of each part.

    Args:
        kind: the Content-Type, which names the boundary.
        body: all of it.

    Raises:
        ProblemError: no boundary, or a body that does not keep to it.
    """
    found = _BOUNDARY.search(kind)
    if found is None:
        raise ProblemError(400, "multipart/form-data names no boundary")
    line = b"\r\n--" + (found[1] or found[2]).encode("latin-1", "replace")
    pieces = (b"\r\n" + body).split(line, _MOST_PARTS + 1)
    if len(pieces) > _MOST_PARTS + 1:
        raise ProblemError(400, f"the multipart body has more than {_MOST_PARTS} parts")
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise ProblemError(
            400, "the multipart body is cut off, or has another boundary than it names"
        )
    for piece in pieces[1:-1]:
        head, separator, content = piece.partition(b"\r\n\r\n")
        if not separator or not head.startswith(b"\r\n"):
            raise ProblemError(400, "a part of the multipart body has no head")
        yield content

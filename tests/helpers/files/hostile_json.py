"""JSON files that are broken, or made to break their reader."""

from __future__ import annotations

import os
from pathlib import Path

DEEP = 100_000

UNREADABLE: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"hello",
    "cut off": b'{"step": 1, "frames": [',
    "nested lists": b"[" * DEEP + b"]" * DEEP,
    "nested objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "nested below a key": b'{"frames": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "NaN": b'{"step": NaN}',
    "infinity": b'{"step": -Infinity}',
    "a float that is infinite": b'{"step": 1e999}',
    "a number of many digits": b'{"step": ' + b"9" * 5000 + b"}",
    "a key twice": b'{"step": 1, "step": 2}',
    "no UTF-8": b'{"step": "caf\xe9"}',
    "UTF-16": '{"step": 1}'.encode("utf-16"),
    "zeros": bytes(1000),
}
"""By what is wrong with it: bytes that no reader of JSON should take."""

NO_OBJECT: dict[str, bytes] = {
    "a list": b"[]",
    "a list of pairs": b'[["step", 1]]',
    "a text": b'"step"',
    "a number": b"1",
    "null": b"null",
}
"""JSON that is no object."""

PLACES = ("a folder", "a pipe", "a link to nothing")
"""What may stand in the place of a file."""


def write_unreadable(path: Path, kind: str) -> Path:
    """Put what is wrong (a key of the above) in the place of a file."""
    if path.exists():
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "a folder":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a link to nothing":
        path.symlink_to(path.parent / "nothing")
    else:
        path.write_bytes({**UNREADABLE, **NO_OBJECT}[kind])
    return path


ALL = (*UNREADABLE, *NO_OBJECT, *PLACES)

"""Protocol buffers in their text format, as far as a configuration needs it.

https://protobuf.dev/reference/protobuf/textformat-spec/
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Word:
    """A name of an enumeration, which stands without quotes."""

    text: str


Fields: TypeAlias = "list[tuple[str, Any]]"
"""Names and values in their order: a text, a number, a :class:`Word`, a tuple of numbers, or the
fields of an inner message. A repeated field stands several times."""
_INDENT = "  "


def text_of(fields: Fields) -> str:
    """The text of a message's fields, each in lines of its own."""
    return "".join(f"{line}\n" for line in _lines(fields, ""))


def _lines(fields: Fields, before: str) -> Iterable[str]:
    for name, value in fields:
        if isinstance(value, list):
            yield f"{before}{name} {{"
            yield from _lines(value, before + _INDENT)
            yield f"{before}}}"
        else:
            yield f"{before}{name}: {_scalar(value)}"


def _scalar(value: str | int | Word | tuple[int, ...]) -> str:
    if isinstance(value, Word):
        return value.text
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, int):
        return str(value)
    return f"[ {', '.join(map(str, value))} ]" if value else "[ ]"


def _quoted(text: str) -> str:
    """A text between quotes; bytes beyond printable ASCII are octal, which every reader knows."""
    plain = {ord("\\"): "\\\\", ord('"'): '\\"', ord("\n"): "\\n"}
    made = (
        plain.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}")
        for byte in text.encode()
    )
    return f'"{"".join(made)}"'

"""JSON files: written whole, and read so that whatever is wrong with one is a sentence.

Everything in depthrt that reads a JSON file or text goes through this module. Python's own reader
fails on hostile input in ways that callers forget: deep nesting raises RecursionError, ``NaN`` and
``1e999`` pass as numbers, the last of two equal keys wins, a pipe blocks for ever.
"""

from __future__ import annotations

import json
import math
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depthrt.errors import DepthrtError, SourceError
from depthrt.files.atomic_write import write_text

MOST_BYTES = 1 << 29  # of a file: depth.json of two days at 30 frames a second
MOST_DEEP = 100  # lists and objects inside one another
_MOST_DIGITS = 1000  # of a whole number: Python itself stops at 4300
_SHOWN = 80  # characters of a wrong value


def write_json(target: Path, content: Any, *, overwrite: bool) -> None:
    """Write a JSON file, whole or not at all.

    Args:
        target: the file.
        content: what it holds.
        overwrite: a file that stands there may be replaced.

    Raises:
        TargetError: something came to the target meanwhile. The new file stays beside it.
        WriteError: it cannot be written.
    """
    write_text(target, json.dumps(content, indent=1) + "\n", overwrite=overwrite)


def parse_json(text: str) -> Any:
    """The content of a JSON text.

    Raises:
        ValueError: not JSON; nested more than 100 deep; a key twice in one object; NaN, infinity, a
            number that overflows a float, or a whole number of more than 1000 digits. The message
            fits into a sentence.
    """
    try:
        content = json.loads(
            text,
            object_pairs_hook=_each_key_once,
            parse_constant=_no_number,
            parse_float=_finite,
            parse_int=_whole,
        )
    except RecursionError:
        raise ValueError(f"it is nested more than {MOST_DEEP} deep") from None
    except MemoryError:
        raise ValueError("it is too large for the memory") from None
    if _is_deeper(content, MOST_DEEP):
        raise ValueError(f"it is nested more than {MOST_DEEP} deep")
    return content


def read_json(path: Path, error: type[DepthrtError] = SourceError) -> Any:
    """The content of a JSON file, UTF-8 with or without a byte order mark.

    Raises:
        DepthrtError: of the class ``error``: missing, no regular file, more than 512 MiB, or
            anything that :func:`parse_json` refuses.
    """
    try:
        return parse_json(_text(path))
    except (OSError, ValueError) as failure:
        raise error(f"{path} cannot be read as JSON ({reason(failure)})") from failure


def read_object(path: Path, error: type[DepthrtError] = SourceError) -> JsonObject:
    """The object that a JSON file holds.

    Raises:
        DepthrtError: of the class ``error``: as :func:`read_json`, or no object.
    """
    content = read_json(path, error)
    if not isinstance(content, dict):
        raise error(f"{path} holds no JSON object")
    return JsonObject(content, str(path), error)


@dataclass(frozen=True)
class JsonObject:
    """A JSON object whose entries are checked when they are read.

    Every method raises ``error`` when the entry is missing or has another type or range. The
    sentence begins with ``where``: the file, or the file and the place in it.
    """

    content: Mapping[str, Any]
    where: str
    error: type[DepthrtError] = SourceError

    def value(self, key: str) -> Any:
        """The entry, of any type."""
        if key not in self.content:
            raise self.error(f'{self.where} lacks "{key}"')
        return self.content[key]

    def number(self, key: str, *, above: float = -math.inf) -> float:
        """A finite number, more than ``above``."""
        value = self.value(key)
        if is_number(value) and value > above:
            return float(value)
        raise self.wrong(key, "a number" if above == -math.inf else f"a number above {above:g}")

    def whole(self, key: str, *, least: int = 0) -> int:
        """A whole number of at least ``least``."""
        value = self.value(key)
        if type(value) is int and value >= least:
            return value
        raise self.wrong(key, f"a whole number of at least {least}")

    def text(self, key: str) -> str:
        """A text."""
        value = self.value(key)
        if isinstance(value, str):
            return value
        raise self.wrong(key, "a text")

    def one_of(self, key: str, allowed: Sequence[str | None]) -> Any:
        """One of the ``allowed`` values; None means null or a missing key."""
        value = self.content.get(key) if None in allowed else self.value(key)
        if any(type(value) is type(each) and value == each for each in allowed):
            return value
        raise self.wrong(key, " or ".join(json.dumps(each) for each in allowed))

    def numbers(self, key: str, *, above: float = -math.inf) -> list[float]:
        """A list of finite numbers, all more than ``above``."""
        value = self.value(key)
        if isinstance(value, list) and all(is_number(each) and each > above for each in value):
            return [float(each) for each in value]
        kind = "numbers" if above == -math.inf else f"numbers above {above:g}"
        raise self.wrong(key, f"a list of {kind}")

    def object(self, key: str) -> JsonObject:
        """An object."""
        value = self.value(key)
        if isinstance(value, dict):
            return JsonObject(value, f'{self.where}, "{key}"', self.error)
        raise self.wrong(key, "an object")

    def objects(self, key: str) -> list[JsonObject]:
        """A list of objects."""
        value = self.value(key)
        if isinstance(value, list) and all(isinstance(each, dict) for each in value):
            return [
                JsonObject(each, f'{self.where}, "{key}" {number}', self.error)
                for number, each in enumerate(value)
            ]
        raise self.wrong(key, "a list of objects")

    def wrong(self, key: str, wanted: str) -> DepthrtError:
        """The error for an entry that is not what is ``wanted``."""
        return self.error(f'{self.where} says "{key}": {short(self.value(key))}: give {wanted}')


def is_number(value: object) -> bool:
    """Whether a value from JSON is a number that a float holds, and not true or false."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def is_plain_name(name: str) -> bool:
    """Whether a name is that of a file in the folder itself: no path, no ``..``."""
    return name not in ("", ".", "..") and not any(c in "/\\\0" for c in name)


def short(value: object) -> str:
    """A value as JSON, cut to fit into a sentence."""
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def reason(error: Exception) -> str:
    """What an error of reading says, without the file's name."""
    return str(getattr(error, "strerror", None) or error)


def _text(path: Path) -> str:
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):  # a pipe would be waited for
        raise ValueError("it is no regular file")
    if facts.st_size > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES >> 20} MiB")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 text: byte {error.start} is wrong") from None
    except MemoryError:
        raise ValueError("it is too large for the memory") from None


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"an object has the key {short(twice)} twice")
    return content


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:_SHOWN]} is too large a number")
    return value


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number has {len(text)} digits")
    return int(text)


def _is_deeper(content: Any, most: int) -> bool:
    level = [content]
    for _ in range(most):
        level = [child for each in level for child in _children(each)]
        if not level:
            return False
    return True


def _children(value: Any) -> Sequence[Any]:
    if isinstance(value, dict):
        return [child for child in value.values() if isinstance(child, (dict, list))]
    if isinstance(value, list):
        return [child for child in value if isinstance(child, (dict, list))]
    return ()

"""Which files of a folder a build may copy: the rules of `.dockerignore`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

Rule = tuple[re.Pattern[str], bool]
"""A pattern, and whether what it matches is left out."""


def read_rules(text: str) -> list[Rule]:
    """The rules of a `.dockerignore`; a later one overrides earlier ones."""
    lines = [line.strip() for line in text.splitlines()]
    return [
        (_pattern(line.removeprefix("!")), not line.startswith("!"))
        for line in lines
        if line and not line.startswith("#")
    ]


def _pattern(glob: str) -> re.Pattern[str]:
    """``*`` and ``?`` stay within a folder, ``**`` does not; a folder stands for what is in it."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob.strip("/"))
    meant = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meant.get(part, re.escape(part)) for part in parts) + "(?:/.*)?")


def is_left_out(path: PurePosixPath, rules: Sequence[Rule]) -> bool:
    """Whether a file, by its path below the folder, is left out."""
    left_out = False
    for pattern, leaves_out in rules:
        if pattern.fullmatch(str(path)):
            left_out = leaves_out
    return left_out


def context_files(folder: Path) -> Iterator[PurePosixPath]:
    """The files of a folder that its `.dockerignore` lets a build see, by their paths below it."""
    rules = read_rules((folder / ".dockerignore").read_text(encoding="utf-8"))
    for path in sorted(folder.rglob("*")):
        below = PurePosixPath(path.relative_to(folder).as_posix())
        if not path.is_dir() and not is_left_out(below, rules):
            yield below

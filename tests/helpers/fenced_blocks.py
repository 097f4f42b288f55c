"""The fenced blocks of README and documentation, and what of them can be run here."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
README, DOCS = ROOT / "README.md", ROOT / "docs"
# `.ci/run` runs these sections of the README, in a fresh clone.
RUN_BY_CI = ("Try it", "Develop")
_COMMENT = re.compile(r"\s+#\s+(.*)$")
_INSTALLING = (
    "pip install ",
    "pip uninstall ",
    "python3 -m venv ",
    ".venv/bin/",
    "git clone ",
    "apt-get ",
)


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, its language, and its lines."""

    page: Path
    line: int
    heading: str
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file_name(self) -> str:
        """The file that the block shows, where its first line says one."""
        found = re.match(r"(?:#|//) (\w+\.(?:py|mjs))\n", self.text)
        return found[1] if found else ""


@dataclass(frozen=True)
class Command:
    """One command of a block of bash, without its comment.

    ``needs`` is what the comment says that it needs, which is not here: a camera, say.
    """

    text: str
    needs: str

    @property
    def installs(self) -> bool:
        return self.text.startswith(_INSTALLING)


def pages() -> list[Path]:
    """README and documentation, without what is made by a program."""
    made = DOCS / "reference" / "commands.md"
    return [README, *(page for page in sorted(DOCS.rglob("*.md")) if page != made)]


def blocks(page: Path) -> Iterator[Block]:
    """All fenced blocks of a page."""
    heading, start, language, lines = "", 0, "", list[str]()
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```") and start:
            yield Block(page, start, heading, language, "\n".join(lines) + "\n")
            start, lines = 0, []
        elif line.startswith("```"):
            start, language = number, (line[3:].split() or [""])[0]
        elif start:
            lines.append(line)
        elif line.startswith("#"):
            heading = line.lstrip("# ")


def commands(block: Block) -> list[Command]:
    """The commands of a block of bash; continued lines are joined."""
    found = []
    for line in re.sub(r"\\\n\s*", "", block.text).splitlines():
        comment = _COMMENT.search(line)
        said = comment[1] if comment else ""
        text = line[: comment.start()] if comment else line
        if text.strip() and not text.startswith("#"):
            found.append(Command(text.strip(), said if said.startswith("needs ") else ""))
    return found


def depthrt_arguments(text: str) -> list[list[str]]:
    """The arguments of each call of depthrt in a line of shell."""
    calls = []
    for part in re.split(r"\s(?:\||&&|>)\s", text):
        words = shlex.split(part.removesuffix(" &"))
        if "depthrt" in words[:1] or (words and words[0].endswith("/depthrt")):
            calls.append(words[1:])
    return calls

"""Containerfiles, as far as this project's need it: read into steps, without heredocs."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_FLAG = re.compile(r"--([a-z-]+)(?:=(\S+))?\s+")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::-([^}]*))?\})")


@dataclass(frozen=True)
class Step:
    """One instruction.

    - ``line``: where it begins, counted from 1;
    - ``keyword``: in capitals;
    - ``flags``: by name without dashes; of one without a value: ``""``;
    - ``text``: what follows, continued lines joined.
    """

    line: int
    keyword: str
    flags: Mapping[str, str]
    text: str

    @property
    def exec_form(self) -> list[str] | None:
        """The words of ``["a", "b"]``; None where the text is for a shell."""
        if not self.text.startswith("["):
            return None
        words = json.loads(self.text)
        if not all(isinstance(word, str) for word in words):
            raise ValueError(f"line {self.line}: {self.text} holds more than words")
        return list(words)

    def pairs(self, variables: Mapping[str, str]) -> dict[str, str]:
        """The ``NAME=VALUE`` pairs of ENV, ARG and LABEL; a name without a value is left out."""
        words = [word.partition("=") for word in shlex.split(self.text)]
        return {name: expand(value, variables) for name, equals, value in words if equals}

    def words(self, variables: Mapping[str, str]) -> list[str]:
        """The words of the text, in either form, with variables replaced."""
        found = self.exec_form
        plain = shlex.split(self.text) if found is None else found
        return [expand(word, variables) for word in plain]


@dataclass(frozen=True)
class Health:
    """How an image says that it is well.

    ``seconds`` has the options that are times, by name.
    """

    command: list[str]
    seconds: Mapping[str, float]
    retries: int


def read(file: Path) -> list[Step]:
    """The steps of a Containerfile.

    Raises:
        ValueError: a line that is no instruction, or a heredoc.
    """
    return list(steps(file.read_text(encoding="utf-8")))


def steps(text: str) -> Iterator[Step]:
    """The steps of a Containerfile's text.

    Raises:
        ValueError: a line that is no instruction, or a heredoc.
    """
    begun, parts = 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue  # a comment between continued lines ends nothing
        begun = begun if parts else number
        parts.append(line.removesuffix("\\").strip())
        if not line.endswith("\\"):
            yield _step(begun, " ".join(parts))
            parts = []
    if parts:
        raise ValueError(f"line {begun}: the last line is continued by none")


def _step(line: int, text: str) -> Step:
    keyword, _, rest = text.partition(" ")
    if not re.fullmatch(r"[A-Za-z]+", keyword) or not rest.strip():
        raise ValueError(f"line {line}: {text} is no instruction")
    rest, flags = rest.strip(), dict[str, str]()
    while found := _FLAG.match(rest):
        flags[found[1]], rest = found[2] or "", rest[found.end() :]
    if keyword.upper() in ("RUN", "COPY") and re.search(r"<<-?[\"']?\w", rest):
        raise ValueError(f"line {line}: heredocs are not read")
    return Step(line, keyword.upper(), flags, rest)


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace ``$NAME``, ``${NAME}`` and ``${NAME:-DEFAULT}``; one that is not set is empty."""
    return _VARIABLE.sub(lambda m: variables.get(m[1] or m[2], "") or m[3] or "", text)


def health(step: Step) -> Health:
    """What a HEALTHCHECK asks for.

    Raises:
        ValueError: it would need a shell.
    """
    command = Step(step.line, "CMD", {}, step.text.removeprefix("CMD").strip()).exec_form
    if command is None or not step.text.startswith("CMD"):
        raise ValueError(f"line {step.line}: a health check without a shell is CMD [...]")
    times = {name: _seconds(value) for name, value in step.flags.items() if name != "retries"}
    return Health(command, times, int(step.flags.get("retries", "3")))


def _seconds(text: str) -> float:
    """Seconds of ``1m30s``."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3}
    parts = re.findall(r"([\d.]+)(h|ms|m|s)", text)
    return sum(float(number) * units[unit] for number, unit in parts)

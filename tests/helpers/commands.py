"""The command line, run in this process or in one of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from depthrt.cli import main


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on standard output."""
        content = json.loads(self.out)
        assert isinstance(content, dict)
        return content

    @property
    def complaint(self) -> str:
        """The one line on standard error, which must be a sentence of ours."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("depthrt: "), self.err
        assert "Traceback" not in self.err
        return lines[0].removeprefix("depthrt: ")

    @property
    def kept(self) -> Path:
        """The unfinished output that a line on standard error names; it is there."""
        (name,) = re.findall(r"(?:what was done before|the finished output) is in (\S+)", self.err)
        assert Path(name).exists(), self.err
        return Path(name)


class Command:
    """`depthrt` in this process; what C libraries write to the terminal is seen, too."""

    def __init__(self, capfd: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capfd, self._patch = capfd, patch

    def __call__(self, *arguments: object) -> Outcome:
        self._patch.setattr(sys, "argv", ["depthrt", *map(str, arguments)])
        self._capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capfd.readouterr()
        code = ended.value.code
        return Outcome(code if isinstance(code, int) else int(bool(code)), out, err)


def spawn(*arguments: object, cwd: Path | None = None) -> subprocess.Popen[str]:
    """`depthrt` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", "from depthrt.cli import main; main()", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
    )


def outcome(process: subprocess.Popen[str], timeout_s: float = 60) -> Outcome:
    """What a process left behind; one that hangs is killed and fails the test."""
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Outcome(process.returncode, out, err)

"""Scripts of ``examples/`` as a user starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.commands import Command, Outcome, outcome

RunExample = Callable[..., Outcome]
EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture
def run_example(tmp_path: Path) -> RunExample:
    """Run a script in a process of its own; ``first`` comes before all on its Python path."""

    def run(
        name: str,
        *arguments: object,
        first: Path | None = None,
        timeout_s: float = 110,
        **variables: str,
    ) -> Outcome:
        process = subprocess.Popen(
            [sys.executable, str(EXAMPLES / name), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(first or ""), **variables},
        )
        return outcome(process, timeout_s)

    return run


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """`depthrt` in this process."""
    return Command(capfd, monkeypatch)

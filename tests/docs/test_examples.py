"""Every example of README, documentation and help, one after the other, as it is written.

Files that an example names and does not make stand ready (see ``conftest.py``). Not run are
commands whose comment says what they need that is not here, and installing, which `.ci/run` does.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from depthrt.cli import app
from helpers.fenced_blocks import README, RUN_BY_CI, Block, blocks, commands, pages

PAGES = [p for p in pages() if {b.language for b in blocks(p)} & {"bash", "python"}]
# What examples of the help want that is not here.
_ABSENT = r"\b(run|calibrate) 0\b|rtsp://|--show|\| |large\.onnx|[A-Z]{4}|nyu/|depth-anything"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def run(command: list[str], folder: Path, what: str) -> None:
    """Run it as a user would, in a folder; a failure shows what it said."""
    places = [str(Path(sys.executable).parent), os.environ["PATH"]]
    paths = {"PATH": os.pathsep.join(places)}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{what}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert "Traceback" not in done.stderr, what


def run_block(block: Block, folder: Path) -> None:
    if block.file_name:
        (folder / block.file_name).write_text(block.text)
    elif block.language == "python":
        run([sys.executable, "-c", block.text], folder, block.place)
    elif block.language == "bash":
        lines = [c.text for c in commands(block) if not (c.needs or c.installs)]
        ending = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"  # of what runs beside
        script = "set -euo pipefail\n" + ending + "\n".join(lines)
        run(["bash", "-c", script], folder, f"{block.place}: {block.text}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page(page: Path, prepared: Callable[[str], Path]) -> None:
    folder = prepared(page.read_text(encoding="utf-8"))
    for block in blocks(page):
        if page != README or block.heading not in RUN_BY_CI:
            run_block(block, folder)


def test_the_examples_of_the_help(prepared: Callable[[str], Path]) -> None:
    found = [
        example for text in _help_texts() for example in re.findall(r"`(depthrt [^`]+)`", text)
    ]
    named = [e for e in dict.fromkeys(found) if not re.search(_ABSENT, e)]
    examples = [e for e in named if len(e.split()) > 2 and not e.split()[2].startswith("-")]
    assert len(examples) >= 5
    folder = prepared(" ".join(examples))
    for example in examples:
        wanted = example if "--report" in example else f"{example} --overwrite"
        run(["bash", "-c", wanted], folder, example)


def _help_texts() -> list[str]:
    root: Any = typer.main.get_command(app)
    found, waiting = [], [root]
    while waiting:
        command = waiting.pop()
        found.append(" ".join((command.help or "").split()))
        if hasattr(command, "list_commands"):
            context = typer.Context(command)
            waiting += [command.get_command(context, n) for n in command.list_commands(context)]
    return found

"""The pages that are made by a program, and those that quote the code, against what they quote."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import depthrt
from depthrt.cli import main
from helpers.fenced_blocks import DOCS, ROOT

COMMANDS = DOCS / "reference" / "commands.md"
TROUBLE = DOCS / "guide" / "troubleshooting.md"
SOURCES = ("runtime", "export", "calibration", "benchmarks/depthrt_benchmarks")


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "command_reference", DOCS / "command_reference.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_reference_is_up_to_date(generator: ModuleType) -> None:
    made: str = generator.page()
    assert COMMANDS.read_text(encoding="utf-8") == made, "run python docs/command_reference.py"


def test_every_option_of_the_help_is_in_the_reference(
    generator: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")
    page = COMMANDS.read_text(encoding="utf-8")
    for name, _ in generator.commands():
        section = page.split(f"\n## depthrt {name}\n")[1].split("\n## ")[0]
        monkeypatch.setattr(sys, "argv", ["depthrt", *name.split(), "--help"])
        with pytest.raises(SystemExit):
            main()
        shown = capsys.readouterr().out
        options = set(re.findall(r"^│ [* ]*(--[a-z-]+)", shown, re.MULTILINE)) - {"--help"}
        assert options or name in ("models", "doctor"), name
        assert options <= set(re.findall(r"--[a-z-]+", section)), name


def test_every_public_name_is_in_the_python_reference() -> None:
    page = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"auto(?:class|function|exception):: depthrt\.(\w+)", page))
    assert shown == set(depthrt.__all__)


def test_messages_of_the_troubleshooting_are_in_the_code() -> None:
    said = [
        text
        for folder in SOURCES
        for path in (ROOT / folder).rglob("*.py")
        for text in _texts(path)
    ]
    quoted = re.findall(r"^### `(.+)`$", TROUBLE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(quoted) > 20
    missing = [message for message in quoted if not any(message in text for text in said)]
    assert not missing


def _texts(path: Path) -> list[str]:
    """The texts of a module; values that are filled in are an ellipsis."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            parts = (p.value if isinstance(p, ast.Constant) else "…" for p in node.values)
            found.append("".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-n", str(DOCS), str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "reference" / "python.html").read_text(encoding="utf-8")
    assert 'id="depthrt.DepthModel.load"' in page

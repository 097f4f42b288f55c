"""Fenced blocks of README and documentation, without running them; the examples run elsewhere."""

from __future__ import annotations

import ast
import re
from typing import Any

import pytest
import typer
import yaml

from depthrt.cli import app
from helpers.fenced_blocks import (
    DOCS,
    README,
    ROOT,
    RUN_BY_CI,
    Block,
    blocks,
    commands,
    depthrt_arguments,
    pages,
)

ALL = [block for page in pages() for block in blocks(page)]
BASH = [block for block in ALL if block.language == "bash"]
LANGUAGES = {
    "bash", "python", "javascript", "text", "yaml", "dockerfile",
    "{toctree}", "{eval-rst}", "{include}",
}  # fmt: skip
# What the words of a command that cannot be run here are, and what they want.
ABSENT = {
    r"\brun (0|/dev/video0)\b": "a camera",
    r"rtsp://": "camera",
    r"\| (ffmpeg|jq|ffplay)\b": "",
    r"--show\b": "display",
    r"^docker\b": "docker",
    r"^node\b": "Node",
    r"^ray start\b|--engine ray\b": "Ray",
    r"^kubectl\b": "Kubernetes",
    r"--provider cuda\b": "GPU",
}


def parse(arguments: list[str]) -> None:
    """Let a command's own parser read its arguments; it raises what a user would see."""
    command: Any = typer.main.get_command(app)
    names = list(arguments)
    while hasattr(command, "get_command"):
        context = typer.Context(command)
        known = command.list_commands(context)
        if "run" in known and names[0] not in known:  # `depthrt bench MODEL` is `bench run MODEL`
            names = ["run", *names]
        name, command, names = command.resolve_command(context, names)
        assert command is not None, name
    with command.make_context("depthrt", names):
        pass


def test_every_block_says_its_language() -> None:
    assert {block.language for block in ALL} <= LANGUAGES
    assert len(BASH) > 20


@pytest.mark.parametrize("block", BASH, ids=lambda block: block.place)
def test_commands_are_understood(block: Block) -> None:
    for command in commands(block):
        for arguments in depthrt_arguments(command.text):
            parse(arguments)


def test_a_wrong_option_is_found() -> None:
    with pytest.raises(Exception, match="no-such-option"):
        parse(["run", "clip.mp4", "--no-such-option"])


@pytest.mark.parametrize("block", BASH, ids=lambda block: block.place)
def test_what_cannot_run_here_says_what_it_needs(block: Block) -> None:
    for command in commands(block):
        wanted = [what for pattern, what in ABSENT.items() if re.search(pattern, command.text)]
        if wanted:
            assert command.needs.startswith("needs "), command.text
            assert all(what in command.needs for what in wanted), command
        else:
            known = ("needs the internet", "needs an NVIDIA GPU")
            assert command.needs == "" or command.needs.startswith(known), command.text


def test_few_commands_are_not_run() -> None:
    kept_out = [c for block in BASH for c in commands(block) if c.needs]
    everything = [c for block in BASH for c in commands(block) if not c.installs]
    assert len(kept_out) < 0.3 * len(everything)


@pytest.mark.parametrize("block", BASH, ids=lambda block: block.place)
def test_what_is_installed_is_an_extra(block: Block) -> None:
    extras = set(re.findall(r"^(\w+) = \[", _extras(), re.MULTILINE))
    for named in re.findall(r'pip install [^"\n]*"\.\[([\w,]+)\]"', block.text):
        assert set(named.split(",")) <= extras


def _extras() -> str:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return text.split("[project.optional-dependencies]")[1].split("\n[")[0]


def test_python_is_python() -> None:
    for block in ALL:
        if block.language == "python":
            ast.parse(block.text)


def test_the_workflow_uses_what_the_action_has() -> None:
    found = [yaml.safe_load(b.text) for b in ALL if b.language == "yaml"]
    (workflow,) = [each for each in found if "jobs" in each]
    action = yaml.safe_load((ROOT / ".github/actions/depthrt-bench/action.yml").read_text())
    steps = workflow["jobs"]["depth"]["steps"]
    (ours,) = [step for step in steps if "depthrt-bench" in step.get("uses", "")]
    assert set(ours["with"]) <= set(action["inputs"])
    required = {name for name, said in action["inputs"].items() if said.get("required")}
    assert required <= set(ours["with"])
    for step in steps:
        for line in step.get("run", "").splitlines():
            for arguments in depthrt_arguments(line):
                parse(arguments)


def test_ci_runs_the_readme_sections() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for heading in RUN_BY_CI:
        assert f'section "{heading}"' in script
        assert [b.language for b in blocks(README) if b.heading == heading] == ["bash"]


def test_links_lead_somewhere() -> None:
    for page in [*pages(), DOCS / "reference" / "commands.md"]:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if not target.startswith(("http://", "https://", "#")):
                assert (page.parent / target.partition("#")[0]).exists(), f"{page}: {target}"


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 130

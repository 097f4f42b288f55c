"""Writes docs/reference/commands.md from the commands themselves.

python docs/command_reference.py
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer

from depthrt.cli import app

PAGE = Path(__file__).parent / "reference" / "commands.md"
_INTRO = """# Commands

Every command says the same with `--help`. This page is made from the commands themselves, by
`python docs/command_reference.py`.

| Exit code | means |
| --- | --- |
| 0 | done |
| 1 | failed while running |
| 2 | wrong usage or input |
| 3 | accuracy gate: depth is no longer good enough |
| 4 | latency gate: slower than allowed |
| 5 | the provider asked for is not to be had here |
| 130 | interrupted (Ctrl-C, or SIGTERM as of `docker stop`): what was written is finished first |
"""


def page() -> str:
    """The whole page as Markdown."""
    sections = [_section(name, command) for name, command in commands()]
    return "\n".join([_INTRO, *sections])


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name, such as ``bench compare``, in the order of the help."""
    root: Any = typer.main.get_command(app)
    yield from _commands("", root)


def _commands(prefix: str, group: Any) -> Iterator[tuple[str, Any]]:
    context = typer.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if hasattr(command, "list_commands"):
            yield from _commands(f"{prefix}{name} ", command)
        else:
            yield f"{prefix}{name}", command


def _section(name: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    usage = " ".join([f"depthrt {name}", "[OPTIONS]", *map(_argument_in_usage, arguments)])
    parts = [f"## depthrt {name}\n", f"```text\n{usage}\n```\n", _text(command.help)]
    rows = [f"| `{_argument_name(p)}` | {_cell(p.help)} |" for p in arguments if p.help]
    panels: dict[str, list[str]] = {"Arguments": rows} if rows else {}
    types = get_type_hints(inspect.unwrap(command.callback))
    for option in options:
        panel = getattr(option, "rich_help_panel", None) or "Options"
        panels.setdefault(panel, []).append(
            f"| {_names(option, types.get(option.name))} | {_explained(option)} |"
        )
    for panel, lines in panels.items():
        parts.append(f"| {panel} | |\n| --- | --- |\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def _text(text: str | None) -> str:
    """A help text as Markdown."""
    return inspect.cleandoc((text or "").replace("\b", "").partition("\f")[0]) + "\n"


def _argument_name(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return re.sub(r"[{}\[\]]", "", name).removesuffix("...") + ("..." if argument.nargs < 0 else "")


def _argument_in_usage(argument: Any) -> str:
    name = _argument_name(argument)
    return name if argument.required else f"[{name}]"


def _names(option: Any, annotation: Any) -> str:
    """All names of an option and, unless it is a switch, what it takes."""
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    kinds = [kind for kind in (*get_args(annotation), annotation) if isinstance(kind, type)]
    if bool in kinds:
        return names
    if option.metavar:
        return f"{names} {_escaped(f'*{option.metavar}*')}"
    for kind in kinds:
        if issubclass(kind, Enum):
            return f"{names} " + " or ".join(f"`{choice.value}`" for choice in kind)
    words = {int: "*whole number*", float: "*number*", Path: "*path*"}
    return f"{names} {next((words[kind] for kind in kinds if kind in words), '*text*')}"


def _explained(option: Any) -> str:
    said = _cell(option.help)
    default = option.default
    shown = getattr(default, "value", default)
    quiet = default is None or isinstance(default, bool) or not option.show_default
    if quiet or callable(default) or shown in ((), [], ""):
        return said if not option.required else f"{said} Required."
    return f"{said} Default: `{shown}`."


def _cell(text: str | None) -> str:
    return _escaped(" ".join((text or "").split()))


def _escaped(text: str) -> str:
    """Safe in a cell of a table; code stays code."""
    parts = re.split(r"(`[^`]*`)", text)
    plain = [p if p.startswith("`") else p.replace("<", "&lt;").replace("[", "\\[") for p in parts]
    return "".join(plain).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

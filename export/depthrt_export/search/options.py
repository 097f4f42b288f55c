"""What the command line says of a search: its options, and their units."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from depthrt.errors import UsageError

_PANEL = "Search (--precision auto; --target: int8, too)"
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}

Drop: TypeAlias = Annotated[
    str,
    typer.Option(metavar="5%", help="Error allowed, or loss of accuracy.", rich_help_panel=_PANEL),
]
Validate: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="SOURCE",
        help="Unseen frames; else a fifth of --frames, a video's last.",
        rich_help_panel=_PANEL,
    ),
]
Dataset: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Labelled: judge by AbsRel.", rich_help_panel=_PANEL),
]
Target: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="MACHINE",
        rich_help_panel=_PANEL,
        help="host, x86-vnni, x86-avx2, arm64, cuda, tensorrt, openvino.",
    ),
]
Budget: TypeAlias = Annotated[
    str, typer.Option(metavar="10m", help="Time for it.", rich_help_panel=_PANEL)
]
Front: TypeAlias = Annotated[
    Path | None,
    typer.Option(help="Drawing of it: .svg or .png.", rich_help_panel=_PANEL),
]


def parse_share(text: str) -> float:
    """``5%`` or ``0.05``."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(%?)\s*", text)
    share = float(found.group(1)) / (100 if found.group(2) else 1) if found else -1.0
    if not 0 < share <= 1:
        raise UsageError(f"--max-drop {text!r} is not a share such as 5% or 0.05")
    return share


def parse_seconds(text: str) -> float:
    """``90s``, ``10m``, ``1h``, or a number of seconds."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text)
    if not found or float(found.group(1)) == 0:
        raise UsageError(f"--budget {text!r} is not a time such as 90s, 10m or 1h")
    return float(found.group(1)) * _SECONDS[found.group(2)]

"""The files that a command is to write, checked before any work is done."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from depthrt.errors import TargetError
from depthrt.sinks.base import check_target


def check_targets(
    targets: Mapping[str, Path | None],
    *,
    overwrite: bool,
    sources: Sequence[Path] = (),
    read: Sequence[Path] = (),
) -> None:
    """Make sure that all outputs can be written, each to a place of its own.

    Args:
        targets: files by the option that names them; None where it was not given.
        overwrite: files that stand there may be replaced.
        sources: files and folders that must survive.
        read: folders in which every file must survive, however deep.

    Raises:
        TargetError: one cannot be written, or two would end as one file.
    """
    given = {option: target for option, target in targets.items() if target is not None}
    for target in given.values():
        check_target(target, overwrite=overwrite, sources=sources, read=read)
    for (one, first), (other, second) in combinations(given.items(), 2):
        if _real(first) == _real(second):
            raise TargetError(f"{one} {first} and {other} {second} are one file: give two")


def _real(target: Path) -> str:
    """Where it will lie, whatever links lead there."""
    return os.path.realpath(target)

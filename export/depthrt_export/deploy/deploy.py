"""What `depthrt deploy` and `depthrt export --triton` do with a finished file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depthrt.errors import UsageError
from depthrt_export.deploy.depth_file import open_depth_file
from depthrt_export.deploy.kserve import write_kserve
from depthrt_export.deploy.settings import KserveSettings, TritonSettings
from depthrt_export.deploy.triton import Deployed, check_repository, write_repository


@dataclass(frozen=True)
class Places:
    """Where a model goes: Triton's model repository, KServe's folder; at least one of them."""

    triton: Path | None = None
    kserve: Path | None = None

    def __bool__(self) -> bool:
        return self.triton is not None or self.kserve is not None

    def check(self) -> None:
        """Make sure, before any work, that there can be folders.

        Raises:
            TargetError: one cannot be.
            UsageError: both are one folder.
        """
        folders = [folder for folder in (self.triton, self.kserve) if folder is not None]
        if len({folder.resolve() for folder in folders}) < len(folders):
            raise UsageError(f"--triton and --kserve are both {self.triton}: name two folders")
        for folder in folders:
            check_repository(folder)


@dataclass(frozen=True)
class Settings:
    """How the servers are to run it."""

    triton: TritonSettings = field(default_factory=TritonSettings)
    kserve: KserveSettings = field(default_factory=KserveSettings)


def deploy(
    model: str | Path, places: Places, settings: Settings, *, overwrite: bool
) -> list[Deployed]:
    """Write what the servers need of a finished depthrt file; its bytes are copied as they are.

    Raises:
        DepthrtError: the file is none of depthrt's, or a place cannot be written.
    """
    places.check()
    settings.kserve.check()
    file = open_depth_file(model)
    done = []
    if places.triton is not None:
        done.append(write_repository(file, places.triton, settings.triton, overwrite=overwrite))
    if places.kserve is not None:
        done.append(
            write_kserve(file, places.kserve, settings.triton, settings.kserve, overwrite=overwrite)
        )
    return done


def lines(done: Sequence[Deployed]) -> list[str]:
    """What is told of it, each note once."""
    notes = dict.fromkeys(note for each in done for note in each.notes)
    return [*notes, *(f"{each.place} is written" for each in done)]


def documents(done: Sequence[Deployed]) -> list[dict[str, Any]]:
    """The same as JSON objects."""
    return [{"place": str(each.place), "notes": list(each.notes)} for each in done]

"""What a search has measured so far, on the disk, so that one that was cut short goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx

from depthrt.errors import DepthrtError, WriteError
from depthrt.files.atomic_write import write_text
from depthrt.files.json_file import read_json
from depthrt.model.tuning_cache import machine_key
from depthrt_calibration import frames as calibration
from depthrt_calibration.frames import Sample
from depthrt_export.search.pareto import Measured

_SCHEMA = 3


def journal_place(target: Path) -> Path:
    """``model.onnx.search.json`` beside ``model.onnx``."""
    return target.with_name(f"{target.name}.search.json")


def search_key(
    model: onnx.ModelProto, frames: Sequence[Sequence[Sample]], settings: Sequence[object]
) -> str:
    """The hash of all that measurements depend on: graph, frames, settings, code, machine.

    The machine is the one of the tuning cache: the processor and what it can do, the usable cores,
    onnxruntime and its providers. Not only times depend on it: without VNNI, sums of int8 saturate.
    """
    digest = hashlib.sha256(model.SerializeToString(deterministic=True))
    for samples in frames:
        digest.update(b"frames")
        for sample in samples:
            digest.update(sample.pixels.tobytes())
    ours = (version("depthrt"), code_hash())
    facts = [*map(str, settings), machine_key(), version("onnx"), *ours]
    digest.update(json.dumps([_SCHEMA, *facts]).encode())
    return digest.hexdigest()


@cache
def code_hash() -> str:
    """The hash of the export's and the calibration's source: what they make changes with it."""
    digest = hashlib.sha256()
    for package in (Path(__file__).parents[1], Path(calibration.__file__).parent):
        for file in sorted(package.rglob("*.py")):
            digest.update(f"{package.name}/{file.relative_to(package)}\n".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Journal:
    """A JSON file of results by name, rewritten whole at every entry; ``path`` None keeps none."""

    path: Path | None
    key: str
    entries: dict[str, Any]

    @classmethod
    def open(cls, path: Path | None, key: str) -> Journal:
        """Go on with the file if it is of the same key; a journal of another key is begun anew.

        What is no journal at all is left alone: then nothing is kept.
        """
        content = {} if path is None else _content(path)
        if content is None:
            return cls(None, key, {})
        return cls(path, key, content["entries"] if content.get("key") == key else {})

    def candidate(self, name: str, wanted: Measured) -> Measured | None:
        """What was measured of a candidate; None where the entry is not one of it."""
        try:
            kept = Measured.from_dict(self.entries.get(name))
        except ValueError:
            return None
        return kept if kept.what == wanted.what else None

    def sensitivity(self, name: str, blocks: Sequence[str]) -> dict[str, float] | None:
        """The error of every block; None where the entry does not hold it."""
        kept = self.entries.get(name)
        if not isinstance(kept, dict) or set(kept) != set(blocks):
            return None
        figures = all(type(error) in (int, float) for error in kept.values())
        return {block: float(kept[block]) for block in kept} if figures else None

    def put(self, name: str, value: Any) -> None:
        """Keep a result, unless something that is no journal has come to the file's place.

        Raises:
            WriteError: the disk is full or fails; what was written before is still there.
        """
        self.entries[name] = value
        if self.path is None or _content(self.path) is None:
            return
        content = json.dumps({"key": self.key, "entries": self.entries}, indent=1)
        try:
            write_text(self.path, content, overwrite=True)
        except WriteError as error:
            raise WriteError(
                f"{error}: make room and run the same command again, it goes on from there"
            ) from error

    def remove(self) -> None:
        """Forget it; what is no journal stays."""
        if self.path is not None and _content(self.path):
            with suppress(OSError):
                self.path.unlink()


def _content(path: Path) -> dict[str, Any] | None:
    """What a journal holds, empty if there is none; None where something else is in its place."""
    if not os.path.lexists(path):
        return {}
    try:
        content = read_json(path)
    except DepthrtError:
        return None
    known = isinstance(content, dict) and content.keys() == {"key", "entries"}
    return content if known and isinstance(content["entries"], dict) else None

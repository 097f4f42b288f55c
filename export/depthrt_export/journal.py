"""What a search has measured so far, on the disk, so that one that was cut short goes on."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort

from depthrt.errors import WriteError
from depthrt_calibration import frames as calibration
from depthrt_calibration.frames import Sample

_SCHEMA = 2


def journal_place(target: Path) -> Path:
    """``model.onnx.search.json`` beside ``model.onnx``."""
    return target.with_name(f"{target.name}.search.json")


def search_key(
    model: onnx.ModelProto, frames: Sequence[Sequence[Sample]], settings: Sequence[object]
) -> str:
    """The hash of all that measurements depend on: graph, frames, settings, code, machine."""
    digest = hashlib.sha256(model.SerializeToString(deterministic=True))
    for samples in frames:
        digest.update(b"frames")
        for sample in samples:
            digest.update(sample.pixels.tobytes())
    # Not the distribution's version: onnxruntime comes under several names (-gpu, -openvino).
    runtime = (ort.__version__, *ort.get_available_providers())
    ours = (version("depthrt"), code_hash())
    facts = [*map(str, settings), *runtime, version("onnx"), *ours, platform.node()]
    digest.update(json.dumps([_SCHEMA, *facts]).encode())
    return digest.hexdigest()


@cache
def code_hash() -> str:
    """The hash of the export's and the calibration's source: what they make changes with it."""
    digest = hashlib.sha256()
    for package in (Path(__file__).parent, Path(calibration.__file__).parent):
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
        """Go on with the file if it is of the same key; another or a broken one is begun anew."""
        if path is not None and path.is_file():
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
                if content["key"] == key and isinstance(content["entries"], dict):
                    return cls(path, key, content["entries"])
            except (OSError, ValueError, KeyError, TypeError, RecursionError):
                pass  # what cannot be read is measured again
        return cls(path, key, {})

    def put(self, name: str, value: Any) -> None:
        """Keep a result.

        Raises:
            WriteError: the disk is full or fails; what was written before is still there.
        """
        self.entries[name] = value
        if self.path is None:
            return
        # Of this process alone: another may search for the same output.
        partial = self.path.with_name(f"{self.path.name}.{os.getpid()}.partial")
        try:
            content = json.dumps({"key": self.key, "entries": self.entries}, indent=1)
            partial.write_text(content, encoding="utf-8")
            partial.replace(self.path)
        except OSError as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise WriteError(
                f"{self.path} cannot be written ({error.strerror or error}): make room and run the "
                "same command again, it goes on from there"
            ) from error

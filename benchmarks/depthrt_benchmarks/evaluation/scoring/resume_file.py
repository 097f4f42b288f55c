"""Results of an evaluation so far, a line per image, so that an interrupted one can continue.

The file lies in the user's cache, named by the hash of everything that the figures depend on. It is
removed when the command is done.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np

from depthrt.errors import WriteError
from depthrt.files.json_file import parse_json
from depthrt.model.depth_model import DepthModel
from depthrt.model.session import import_onnxruntime
from depthrt.model.tuning_cache import cache_folder
from depthrt_benchmarks.common.file_lock import lock
from depthrt_benchmarks.evaluation.datasets.base import Dataset
from depthrt_benchmarks.evaluation.protocol.protocol import Protocol

_SCHEMA = 4


def resume_folder() -> Path:
    """``eval`` beside the folder of tunings."""
    return cache_folder().with_name("eval")


def resume_key(
    model: DepthModel, threads: int | None, dataset: Dataset, protocol: Protocol, parts: list[str]
) -> str:
    """The hash of model, provider, threads, files (name, size, time), protocol and versions.

    Files are those of the items and of the dataset; one that is not there counts as that.
    """
    digest = hashlib.sha256()
    of_items = [path for item in dataset.items for path in item.files]
    files = [_stamp(path) for path in (*dataset.files, *of_items)]
    facts = [
        _SCHEMA,
        model.sha256(),
        model.provider,
        None if model.tuned is None else model.tuned.options.line(),
        threads,
        protocol.line(),
        parts,
        [item.name for item in dataset.items],
        files,
        measuring_versions(),
    ]
    digest.update(json.dumps(facts).encode())
    return digest.hexdigest()


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        facts = path.stat()
    except OSError:
        return path.name, -1, -1
    return path.name, facts.st_size, facts.st_mtime_ns


def measuring_versions() -> list[str]:
    """Versions of what computes the figures, asked of the modules: wheels have several names."""
    onnxruntime = import_onnxruntime()
    return [
        f"depthrt {_version('depthrt')}",
        f"numpy {np.__version__}",
        f"opencv {cv2.__version__}",
        f"onnxruntime {onnxruntime.__version__}",
        *onnxruntime.get_available_providers(),
    ]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


@dataclass
class ResumeFile:
    """Entries by name, appended to a file of JSON lines; without a ``path`` in memory only."""

    path: Path | None
    entries: dict[str, Any] = field(default_factory=dict)
    _file: TextIO | None = field(default=None, repr=False)

    @classmethod
    def open(cls, key: str) -> ResumeFile:
        """Open the file of a key with its entries; a last line that was cut off is dropped."""
        path = resume_folder() / f"{key[:32]}.jsonl"
        entries: dict[str, Any] = {}
        if path.is_file():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    name, value = parse_json(line)
                except (ValueError, TypeError):
                    continue
                if isinstance(name, str):
                    entries[name] = value
        return cls(path, entries)

    def keep_only(self, kind: str, is_ours: Callable[[str, Any], bool]) -> None:
        """Drop the entries of a kind ("KIND NAME") whose value is not valid."""
        for key, value in list(self.entries.items()):
            which, _, name = key.partition(" ")
            if which == kind and not is_ours(name, value):
                del self.entries[key]

    def put(self, name: str, value: Any) -> None:
        """Keep an entry.

        Raises:
            WriteError: the disk is full or fails; what was written before is still there.
        """
        self.entries[name] = value
        if self.path is None:
            return
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.path.open("a", encoding="utf-8")
                with suppress(OSError):  # a file system without locks
                    lock(self._file, shared=True)  # who is done leaves it to the others
                if self._file.tell():
                    self._file.write("\n")  # ends a line that was cut off
            self._file.write(json.dumps([name, value]) + "\n")
            self._file.flush()
        except OSError as error:
            raise WriteError(
                f"{self.path} cannot be written ({error.strerror or error}): make room and run the "
                "same command again, it goes on from there"
            ) from error

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None

    def remove(self) -> None:
        """Delete the file, unless another run still writes to it."""
        self.close()
        if self.path is not None:
            with suppress(OSError), self.path.open("rb") as file:
                lock(file, wait=False)
                self.path.unlink(missing_ok=True)

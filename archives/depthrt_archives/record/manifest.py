"""``manifest.jsonl`` beside the outputs: what was made, of which bytes, by which model.

The first line says what holds for all outputs; each other line is one output. Lines are added as
outputs are done; at the end the file is written anew, in order of the outputs' names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from depthrt.files.atomic_write import new_file

NAME = "manifest.jsonl"


class Manifest:
    """The manifest of a folder of outputs.

    Args:
        out: the folder.

    ``known``: by the id of a source, its record's stamp, hash and output.
    """

    def __init__(self, out: Path) -> None:
        self.path = out / NAME
        self.known: dict[str, dict[str, Any]] = {}
        self._head: dict[str, Any] = {}
        whole = 0
        for line, end in self._lines():
            whole = end
            if "id" not in line:
                self._head = line
            else:
                self._learn(line)
        if self.path.is_file() and self.path.stat().st_size > whole:  # torn by a crash
            with self.path.open("r+b") as file:
                file.truncate(whole)

    def begin(self, head: Mapping[str, Any]) -> None:
        """Write the first line, unless there is one."""
        if not self._head:
            self._head = dict(head)
            self._append(self._head)

    def add(self, record: Mapping[str, Any]) -> None:
        """Add an output; the same one again adds no line."""
        before = self.known.get(record["id"])
        self._learn(record)
        if before != self.known[record["id"]]:
            self._append(record)

    def finish(self) -> None:
        """Write the file anew: the last record of each output, in order of their names."""
        last: dict[str, tuple[str, int]] = {}
        place = 0
        for line, end in self._lines():
            if "id" in line:
                last[line["id"]] = (line["output"], place)
            place = end
        with (
            self.path.open("rb") as old,
            new_file(self.path, overwrite=True) as path,
            path.open("wb") as file,
        ):
            file.write(_line(self._head))
            for _, begin in sorted(last.values()):
                old.seek(begin)
                file.write(old.readline())

    def _learn(self, record: Mapping[str, Any]) -> None:
        self.known[record["id"]] = {
            "stamp": record["input"]["stamp"],
            "sha256": record["input"]["sha256"],
            "output": record["output"],
            "output_sha256": record["output_sha256"],
        }

    def _append(self, line: Mapping[str, Any]) -> None:
        with self.path.open("ab") as file:
            file.write(_line(line))

    def _lines(self) -> Iterator[tuple[dict[str, Any], int]]:
        """The whole lines, and where each ends in the file."""
        if not self.path.is_file():
            return
        end = 0
        with self.path.open("rb") as file:
            for raw in file:
                try:
                    line = json.loads(raw)
                except ValueError:
                    return
                if not raw.endswith(b"\n") or not isinstance(line, dict):
                    return
                end += len(raw)
                yield line, end


def _line(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, sort_keys=True) + "\n").encode()

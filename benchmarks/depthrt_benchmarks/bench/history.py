"""Comparisons over time, as two JSON files of one folder.

- ``history.json``: our own, a list of whole documents, the newest last;
- ``benchmark.json``: the newest alone, as github-action-benchmark's tool ``customSmallerIsBetter``
  takes it (https://github.com/benchmark-action/github-action-benchmark): name, unit, value, range.
"""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from depthrt.errors import UsageError, WriteError
from depthrt.sinks.base import partial_name, put_in_place

FILES = ("history.json", "benchmark.json")
_KEPT = 1000


def add(folder: Path, document: dict[str, Any]) -> None:
    """Add a comparison.

    Raises:
        UsageError: the history that is there is no list; it is left as it is.
        WriteError: the folder cannot be written.
    """
    place, newest = (folder / name for name in FILES)
    entries = _read(place)
    stamp = datetime.now(timezone.utc).isoformat(timespec="seconds")
    revision = os.environ.get("GITHUB_SHA", "")
    entries.append({"time": stamp, "revision": revision, **document})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in (
            (place, entries[-_KEPT:]),
            (newest, custom_smaller_is_better(document)),
        ):
            partial = partial_name(path)
            partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            put_in_place(partial, path)
    except OSError as error:
        raise WriteError(f"{folder} cannot be written ({error.strerror or error})") from error


def custom_smaller_is_better(document: dict[str, Any]) -> list[dict[str, Any]]:
    """A comparison in github-action-benchmark's form; the ratio first, it alone carries over."""
    head = document["head"]
    setting = f"{head['bound_provider']}, {document['threads']} threads, batch {document['batch']}"
    half_width = (document["high"] - document["low"]) / 2
    entries: list[dict[str, Any]] = [
        {
            "name": f"{head['label']}: time over base ({setting})",
            "unit": "ratio",
            "value": document["ratio"],
            "range": f"± {half_width:.4f}",
            "extra": document["sentence"],
        }
    ]
    entries += [
        {"name": f"{head['label']}: {key} latency ({setting})", "unit": "ms", "value": value}
        for key, value in head["latency_ms"].items()
    ]
    return entries


def _read(place: Path) -> list[dict[str, Any]]:
    if not place.is_file():
        return []
    try:
        entries = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{place} cannot be read as a history ({error})") from error
    if not isinstance(entries, list):
        raise UsageError(f"{place} is no history of `depthrt bench compare --history`")
    return entries

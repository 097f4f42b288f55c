"""Comparisons over time, as two JSON files of one folder.

- ``history.json``: depthrt's own form, a list of whole documents, the newest last;
- ``benchmark.json``: the newest alone, as github-action-benchmark's tool ``customSmallerIsBetter``
  takes it (https://github.com/benchmark-action/github-action-benchmark): name, unit, value, range.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from depthrt.errors import DepthrtError, UsageError, WriteError
from depthrt.files.json_file import read_json, write_json
from depthrt_benchmarks.common.file_lock import HAS_LOCKS, lock

FILES = ("history.json", "benchmark.json")
_KEPT = 1000
_FIGURE = {"name", "unit", "value", "range", "extra"}


def check_history(folder: Path) -> None:
    """Refuse a folder whose files of these names are of others, before anything is measured.

    Raises:
        UsageError: there is such a file; it is left as it is.
    """
    place, newest = (folder / name for name in FILES)
    _read(place, _is_comparison)
    _read(newest, _is_figure)


def add(folder: Path, document: dict[str, Any]) -> None:
    """Add a comparison; a second process that adds one waits.

    Raises:
        UsageError: what is there is not ours; it is left as it is.
        WriteError: the folder cannot be written.
    """
    place, newest = (folder / name for name in FILES)
    stamp = datetime.now(timezone.utc).isoformat(timespec="seconds")
    revision = os.environ.get("GITHUB_SHA", "")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            check_history(folder)
            entries = _read(place, _is_comparison)
            entries.append({"time": stamp, "revision": revision, **document})
            write_json(place, entries[-_KEPT:], overwrite=True)
            write_json(newest, custom_smaller_is_better(document), overwrite=True)
    except DepthrtError:
        raise
    except OSError as error:
        raise WriteError(f"{folder} cannot be written ({error.strerror or error})") from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock for a block, where its file system has locks."""
    if not HAS_LOCKS:  # nor can Windows open a folder
        yield
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            lock(number)
        yield
    finally:
        os.close(number)


def custom_smaller_is_better(document: dict[str, Any]) -> list[dict[str, Any]]:
    """A comparison in github-action-benchmark's form, the ratio first.

    Only the ratio can be compared between machines.
    """
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


def _read(place: Path, is_ours: Callable[[Any], bool]) -> list[dict[str, Any]]:
    """The entries of a file, all of which are ours; none where there is no file."""
    if not os.path.lexists(place):
        return []
    try:
        entries = read_json(place)
    except DepthrtError as error:
        raise UsageError(f"{error}: it is no history of `depthrt bench compare`") from error
    if not isinstance(entries, list) or not all(map(is_ours, entries)):
        raise UsageError(f"{place} is no history of `depthrt bench compare --history`")
    return entries


def _is_comparison(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("benchmark") == "compare" and "time" in entry


def _is_figure(entry: Any) -> bool:
    return isinstance(entry, dict) and {"name", "unit", "value"} <= entry.keys() <= _FIGURE

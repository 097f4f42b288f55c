"""Which files in a folder depthrt wrote itself, and so may replace.

A folder that depthrt wrote holds an index (``depth.json``) with the size and CRC-32 of every file
and a checksum of its own. A name alone proves nothing: where anything else is in the folder, or
anything was changed, nothing in it is replaced.
"""

from __future__ import annotations

import json
import os
import re
import stat
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depthrt.errors import TargetError
from depthrt.files.json_file import read_object

_CHUNK_BYTES = 1 << 20

Stamps = dict[str, tuple[int, ...]]
"""Of every entry of a folder: mode, inode, size, and times in nanoseconds; folders end in /."""


@dataclass(frozen=True)
class FolderKind:
    """A form of folder that depthrt writes.

    - ``index``: the file that lists all others;
    - ``form``: what the index says under ``format``;
    - ``names``: what names of the other files look like, a regular expression;
    - ``folders``: the folders in it that files may lie in.
    """

    index: str
    form: str
    names: str
    folders: tuple[str, ...] = ()


def fingerprint(content: bytes) -> str:
    """Size in bytes and CRC-32 of a file's content."""
    return f"{len(content)} {zlib.crc32(content):08x}"


def seal(content: Mapping[str, Any], kind: FolderKind, files: Mapping[str, str]) -> bytes:
    """An index as JSON, with the fingerprints of all files and a checksum of its own."""
    whole = {**content, "format": kind.form, "files": dict(files)}
    return _lines({**whole, "checksum": _checksum(whole)}).encode()


def _lines(content: Mapping[str, Any]) -> str:
    """JSON with a line for each member and item; the ``indent`` of json takes far longer."""
    members = []
    for key, value in content.items():
        if isinstance(value, list) and value:
            text = "[\n  " + ",\n  ".join(map(json.dumps, value)) + "\n ]"
        elif isinstance(value, dict) and value:
            inner = (f"{json.dumps(name)}: {json.dumps(each)}" for name, each in value.items())
            text = "{\n  " + ",\n  ".join(inner) + "\n }"
        else:
            text = json.dumps(value)
        members.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(members) + "\n}\n"


def own_entries(folder: Path, kinds: Sequence[FolderKind]) -> Stamps:
    """The entries of a folder all of which depthrt wrote; none of an empty one.

    Raises:
        TargetError: it holds something else, or something was changed since.
        OSError: it cannot be read.
    """
    kind = next((kind for kind in kinds if os.path.lexists(folder / kind.index)), None)
    listed = {} if kind is None else _read_index(folder, kind)
    entries = entries_of(folder, () if kind is None else kind.folders)
    for name, (mode, *_) in sorted(entries.items()):
        if name not in listed:
            raise _foreign(folder, name.rstrip("/"))
        wanted = listed[name]
        if wanted and (not stat.S_ISREG(mode) or wanted != _fingerprint_of(folder / name)):
            raise _changed(folder, name)
    return entries


def entries_of(folder: Path, inner: Collection[str] = (), prefix: str = "") -> Stamps:
    """What is in a folder and in its ``inner`` folders; links are not followed."""
    found: Stamps = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            facts = entry.stat(follow_symlinks=False)
            name = f"{prefix}{entry.name}"
            if stat.S_ISDIR(facts.st_mode):
                found[f"{name}/"] = (facts.st_mode, facts.st_ino)
                if name in inner:
                    found |= entries_of(folder / entry.name, (), f"{name}/")
            else:
                times_ns = facts.st_mtime_ns, facts.st_ctime_ns
                found[name] = (facts.st_mode, facts.st_ino, facts.st_size, *times_ns)
    return found


def _read_index(folder: Path, kind: FolderKind) -> dict[str, str]:
    """The fingerprints that an index lists; empty ones of itself and of folders.

    Raises:
        TargetError: it is no index of ours, or not as it was written.
    """
    path = folder / kind.index
    if path.is_symlink():
        raise _foreign(folder, kind.index)
    try:
        content = dict(read_object(path, TargetError).content)
    except TargetError as error:
        raise _foreign(folder, kind.index) from error
    if content.get("format") != kind.form:
        raise _foreign(folder, kind.index)
    checksum, files = content.pop("checksum", None), content.get("files")
    if checksum != _checksum(content) or not _are_marks(files, kind):
        raise _changed(folder, kind.index)
    return {**content["files"], kind.index: "", **{f"{name}/": "" for name in kind.folders}}


def _are_marks(files: object, kind: FolderKind) -> bool:
    """Whether what an index lists are fingerprints, by names that files of its kind have."""
    return isinstance(files, dict) and all(
        re.fullmatch(kind.names, name) and isinstance(mark, str) and mark
        for name, mark in files.items()
    )


def _foreign(folder: Path, name: str) -> TargetError:
    return TargetError(f"the folder {folder} holds other files ({name}): choose a new one")


def _changed(folder: Path, name: str) -> TargetError:
    return TargetError(
        f"the folder {folder} was changed since depthrt wrote it ({name}): choose a new one"
    )


def _checksum(content: Mapping[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(content, sort_keys=True).encode()):08x}"


def _fingerprint_of(path: Path) -> str:
    size, crc = 0, 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            size, crc = size + len(chunk), zlib.crc32(chunk, crc)
    return f"{size} {crc:08x}"

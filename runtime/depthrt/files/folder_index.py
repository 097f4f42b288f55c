"""Which folders depthrt wrote itself, and so may replace.

A folder that depthrt wrote holds an index (``depth.json``) with the size and CRC-32 of every file
and a checksum of the index. Names prove nothing: where the folder holds anything else, or anything
was changed, nothing in it is replaced.
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
"""By entry of a folder: mode, inode, size, times in ns. Names of folders end in ``/``."""


@dataclass(frozen=True)
class FolderKind:
    """A kind of folder that depthrt writes.

    - ``index``: name of the file that lists all others;
    - ``form``: the entry ``format`` of the index;
    - ``names``: regular expression that the names of all other files match;
    - ``folders``: its inner folders.
    """

    index: str
    form: str
    names: str
    folders: tuple[str, ...] = ()


def fingerprint(content: bytes) -> str:
    """Size in bytes and CRC-32 of a file's content."""
    return f"{len(content)} {zlib.crc32(content):08x}"


def seal(content: Mapping[str, Any], kind: FolderKind, files: Mapping[str, str]) -> bytes:
    """An index as JSON, with the fingerprints of all files and its own checksum."""
    whole = {**content, "format": kind.form, "files": dict(files)}
    return _lines({**whole, "checksum": _checksum(whole)}).encode()


def _lines(content: Mapping[str, Any]) -> str:
    """JSON with a line for each entry and item; ``indent`` of :mod:`json` takes far longer."""
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
    """The entries of a folder that depthrt wrote all of, or that is empty.

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
    """The entries of a folder and of its ``inner`` folders; links are not followed."""
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
    """The fingerprints that an index lists, empty for the index itself and for folders.

    Raises:
        TargetError: it is no index of depthrt's, or it was changed.
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
    """Whether ``files`` maps names that this kind of folder has to fingerprints."""
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

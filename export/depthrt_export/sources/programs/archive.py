"""The zip archives that torch writes, read once and never handed to torch as they came.

A hostile archive can mean one thing to one reader and another to the next: two members of one name,
a directory that contradicts the members' own headers. So what was checked is packed into a fresh
archive in memory, and torch reads that.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from depthrt.errors import ModelError

_MOST_BYTES = 16 << 30  # unpacked: far beyond the 2 GB that an ONNX file holds
_ROOT = "archive/"
_LIBRARY = re.compile(
    r".*\.(so|dll|dylib|pyd)(\.\d+)*|data/aotinductor/.*", re.DOTALL | re.IGNORECASE
)

Members = dict[str, bytes]


def untrusted(path: Path, found: str) -> ModelError:
    """The refusal of a file for what was found in it, which ``--trust-code`` would let through."""
    return ModelError(f"{path} {found}: give --trust-code if you trust where it comes from")


def read_members(path: Path) -> Members:
    """The content of every member by its name, without the folder that holds all of them.

    Raises:
        ModelError: no readable zip archive, two members of one name, a compiled library, or far
            too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            names = [entry.filename for entry in entries]
            ((name, count),) = Counter(names).most_common(1) or [("", 0)]
            if count > 1:
                raise ModelError(
                    f"{path} holds two members named {name}: torch writes no such file"
                )
            if sum(entry.file_size for entry in entries) > _MOST_BYTES:
                raise ModelError(f"{path} unpacks to more than {_MOST_BYTES >> 30} GB")
            content = {entry.filename: archive.read(entry) for entry in entries}
    except ModelError:
        raise
    except Exception as error:  # zipfile lets through what a broken archive leads to
        raise ModelError(f"{path} is no readable archive ({error})") from error
    root = names[0].partition("/")[0] + "/" if names else ""
    if all(name.startswith(root) for name in names):
        content = {name.removeprefix(root): data for name, data in content.items()}
    library = next(filter(_LIBRARY.fullmatch, content), None)
    if library is not None:
        raise untrusted(path, f"holds compiled code ({library})")
    return content


def packed(members: Mapping[str, bytes], *, flat: bool = False) -> io.BytesIO:
    """A fresh archive of the members, in a folder as torch writes it, or ``flat``."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name if flat else _ROOT + name, data)
    buffer.seek(0)
    return buffer

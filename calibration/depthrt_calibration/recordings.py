"""Which recordings the frames of a source come from, known again wherever their files lie."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from depthrt.errors import DepthrtError
from depthrt.files.json_file import read_json
from depthrt.model.catalogue.registry import DEMO_CLIP
from depthrt.sources.display_name import shown_source
from depthrt.sources.images import IMAGE_SUFFIXES
from depthrt.sources.source_files import existing, source_files
from depthrt_calibration.frame_folder import FORMAT, INDEX_FILE

_SAMPLE_BYTES = 1 << 20


def recordings(source: str) -> dict[str, str]:
    """The recordings of a source by a key: the same key means the same recording.

    A video is known by its size and by parts of its content, pictures by the folder that they lie
    in, a camera or a stream by its name. A folder that ``depthrt calibrate`` made also names the
    recordings that its frames were taken from.

    Returns:
        Names without folders or passwords, by key.

    Raises:
        UsageError: the name is no usable path.
    """
    if source == "demo" and existing(source) is None:
        return _of_files([DEMO_CLIP])
    place = existing(source)
    if place is not None and place.is_dir():
        return {**_kept_in(place / INDEX_FILE), **_of_folder(place)}
    files = source_files(source)
    return _of_files(files) if files else {_key("name", shown_source(source)): _name(source)}


def _of_files(files: list[Path]) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in files:
        if file.suffix.lower() in IMAGE_SUFFIXES:
            found.update(_of_folder(file.parent))
        elif file.is_file():
            found[_content_key(file)] = file.name
    return found


def _of_folder(folder: Path) -> dict[str, str]:
    real = folder.resolve()
    return {_key("folder", str(real)): real.name}


def _kept_in(index: Path) -> dict[str, str]:
    """What the index of a folder of calibration frames says; nothing where it is no such index."""
    try:
        content: Any = read_json(index)
    except DepthrtError:
        return {}
    known = isinstance(content, Mapping) and content.get("format") == FORMAT
    kept = content.get("recordings") if known else None
    if not isinstance(kept, Mapping):
        return {}
    return {key: name for key, name in kept.items() if isinstance(name, str)}


def _content_key(file: Path) -> str:
    """From the size and a mebibyte each of begin, middle and end: recordings may have gigabytes."""
    size = file.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with file.open("rb") as stream:
        for start in (0, size // 2, max(0, size - _SAMPLE_BYTES)):
            stream.seek(start)
            digest.update(stream.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def _key(kind: str, text: str) -> str:
    return hashlib.sha256(f"{kind}:{text}".encode()).hexdigest()


def _name(source: str) -> str:
    return Path(shown_source(source)).name

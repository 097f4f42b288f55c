"""Where a cache file or a checkpoint comes from, noted beside it or in it.

So nothing that was made from other folders, weights or settings passes for what is asked for now.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

Origin = dict[str, str]
"""By name what a file was made from; equal where the same would be made again."""

PICTURES = (".jpg", ".png", ".mp4")


def hash_of_text(text: str) -> str:
    """16 hexadecimal digits of SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def hash_of_file(file: Path) -> str:
    """16 hexadecimal digits of SHA-256."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def hash_of_pictures(folders: Iterable[Path]) -> str:
    """Hash of the names and sizes of pictures and clips, and of what `dataset.json` says.

    Looks into the folders, and into `rgb` and `depth` below them, as depth-camera sets have them.
    """
    lines = []
    for folder in folders:
        for part in (folder, folder / "rgb", folder / "depth"):
            files = sorted(file for file in part.glob("*") if file.suffix in PICTURES)
            lines += [f"{part.name}/{file.name} {file.stat().st_size}" for file in files]
        spec = folder / "dataset.json"
        lines.append(spec.read_text() if spec.is_file() else "")
    return hash_of_text("\n".join(lines))


def differences(kept: Origin, asked: Origin) -> str:
    """The names of what differs, joined by `and`; empty where all agrees."""
    names = sorted(kept.keys() | asked.keys())
    return " and ".join(name for name in names if kept.get(name) != asked.get(name))


def note_of(file: Path) -> Path:
    """The note beside a cache file."""
    return file.with_suffix(".origin.json")


def read_note(file: Path) -> Origin | None:
    """The origin of a cache file; None where nothing is known of it."""
    try:
        return {
            str(name): str(value) for name, value in json.loads(note_of(file).read_text()).items()
        }
    except (FileNotFoundError, ValueError, AttributeError):
        return None


def write_note(file: Path, origin: Origin) -> None:
    """Note the origin of a cache file."""
    note_of(file).write_text(json.dumps(origin, indent=2) + "\n")

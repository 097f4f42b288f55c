"""The provenance of a cache file or a checkpoint: what it was made from.

It is kept beside the cache file or inside the checkpoint. So a file that was made from other
folders, weights or settings is not mistaken for the one that is asked for now.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from depthrt.files.file_hash import file_sha256

Provenance = dict[str, str]
"""What a file was made from, by name. Equal provenance means equal content."""

PICTURES = (".jpg", ".png", ".mp4")


def hash_of_text(text: str) -> str:
    """16 hexadecimal digits of SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def hash_of_file(file: Path) -> str:
    """16 hexadecimal digits of SHA-256."""
    return file_sha256(file)[:16]


def hash_of_pictures(folders: Iterable[Path]) -> str:
    """Hash of the names and sizes of pictures and clips, and of what `dataset.json` says.

    Looks into the folders, and into `rgb` and `depth` below them, as RGB-D sets have them.
    """
    lines = []
    for folder in folders:
        for part in (folder, folder / "rgb", folder / "depth"):
            files = sorted(file for file in part.glob("*") if file.suffix in PICTURES)
            lines += [f"{part.name}/{file.name} {file.stat().st_size}" for file in files]
        spec = folder / "dataset.json"
        lines.append(spec.read_text() if spec.is_file() else "")
    return hash_of_text("\n".join(lines))


def differences(kept: Provenance, asked: Provenance) -> str:
    """The names of the entries that differ, joined by `and`; empty if none does."""
    names = sorted(kept.keys() | asked.keys())
    return " and ".join(name for name in names if kept.get(name) != asked.get(name))


def provenance_file(file: Path) -> Path:
    """The JSON file beside a cache file that holds its provenance."""
    return file.with_suffix(".origin.json")


def read_provenance(file: Path) -> Provenance | None:
    """The provenance of a cache file; None where none was kept."""
    try:
        return {
            str(name): str(value)
            for name, value in json.loads(provenance_file(file).read_text()).items()
        }
    except (FileNotFoundError, ValueError, AttributeError):
        return None


def write_provenance(file: Path, provenance: Provenance) -> None:
    """Keep the provenance of a cache file."""
    provenance_file(file).write_text(json.dumps(provenance, indent=2) + "\n")

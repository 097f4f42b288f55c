"""The files that a source is read from, which no output may take the place of."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from depthrt.errors import UsageError
from depthrt.sources.display_name import shown_source


def source_files(text: str) -> list[Path]:
    """The files and folders that a source is read from; none of a URL or a camera."""
    place = Path(text) if "://" in text and os.path.lexists(text) else existing(text)
    if place is None:
        found = [] if "://" in text else glob.glob(text, recursive=True)  # noqa: PTH207
        return [Path(name) for name in found]
    try:
        return [place, *place.iterdir()] if place.is_dir() else [place]
    except OSError:  # a folder that may not be read: opening it says so
        return [place]


def existing(text: str) -> Path | None:
    """The file or folder that a source is; None for a URL, a camera, a glob."""
    if "://" in text:
        return None
    try:
        return Path(text) if Path(text).exists() else None
    except OSError as error:  # a name longer than the file system allows
        name = shown_source(text)[:80]
        raise UsageError(f"{name}... is no usable path ({error.strerror})") from error

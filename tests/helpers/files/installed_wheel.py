"""A wheel as it looks when it is installed."""

from __future__ import annotations

from pathlib import Path


def install(folder: Path, name: str) -> None:
    """What pip leaves of a wheel, as importlib.metadata sees it."""
    place = folder / f"{name.replace('-', '_')}-9.9.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n")

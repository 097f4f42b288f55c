"""The folder of the user in which depthrt keeps what it can make or fetch again."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache(part: str) -> Path:
    """``$XDG_CACHE_HOME/depthrt/PART``, else ``~/.cache/depthrt/PART``; it need not exist yet.

    Raises:
        RuntimeError: there is no home folder.
    """
    root = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(root) if Path(root).is_absolute() else Path("~/.cache").expanduser()
    return base / "depthrt" / part

"""Fixtures that several tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def data() -> Path:
    """The shared depth data; tests that ask for it carry the marker ``data``."""
    folder = Path(os.environ.get("DEPTHRT_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no depth data at {folder} (set DEPTHRT_DATA)")
    return folder

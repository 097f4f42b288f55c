"""A cache and a choice of candidates that make tunings quick."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from depthrt.jobs.tune import block
from depthrt.jobs.tune import tune as tuning
from depthrt.model.providers import SessionOptions
from depthrt.system.cpu_cores import usable_cores

CORES = usable_cores()


@pytest.fixture(autouse=True)
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for every test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def only_two(monkeypatch: pytest.MonkeyPatch) -> list[SessionOptions]:
    """Two candidates, so that a tuning is quick."""
    found = [SessionOptions("cpu", CORES), SessionOptions("cpu", CORES, spinning=True)]
    monkeypatch.setattr(tuning, "configurations", lambda: found)
    monkeypatch.setattr(tuning, "measure_block", partial(block.measure_block, block_s=0.02))
    monkeypatch.setattr(tuning, "_load", lambda: 0.0)
    return found

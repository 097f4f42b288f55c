"""A model whose depth is known, and the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.commands import Command
from helpers.models.small_model import build_model


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache for each test: journals of interrupted evaluations lie there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """`depthrt` in this process."""
    return Command(capfd, monkeypatch)


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model: inverse depth is a weighted sum of the prepared pixels."""
    return build_model(tmp_path_factory.mktemp("model") / "tiny.onnx")

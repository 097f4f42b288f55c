"""Clips, models and the command line, for the tests of sources, sinks and commands."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from clips import Clip, write_clip
from commands import Command
from depthrt.model import DepthModel
from models import build_model

MakeClip = Callable[..., Path]


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory: pytest.TempPathFactory) -> MakeClip:
    """Encode a clip once per session: ``make_clip(".mp4", frames=10)``."""
    folder = tmp_path_factory.mktemp("clips")

    def make(suffix: str = ".mp4", **fields: object) -> Path:
        clip = Clip(**fields)  # type: ignore[arg-type]
        path = folder / f"{sha256(repr(clip).encode()).hexdigest()[:12]}{suffix}"
        return path if path.exists() else write_clip(path, clip)

    return make


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model: depth is a weighted sum of the prepared pixels."""
    return build_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="session")
def model(model_path: Path) -> DepthModel:
    """The tiny model, loaded."""
    return DepthModel.load(model_path, provider="cpu", threads=1)


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """`depthrt` in this process."""
    return Command(capfd, monkeypatch)

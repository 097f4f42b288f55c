"""Servers that several tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from depthrt.model.depth_model import DepthModel
from helpers.models.small_model import build_model
from helpers.web.served import Running, serving


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes well below a millisecond."""
    return build_model(tmp_path_factory.mktemp("tiny") / "tiny.onnx")


@pytest.fixture(scope="module")
def running(tiny: Path) -> Iterator[Running]:
    """A server of the tiny model."""
    with serving(tiny) as found:
        yield found


@pytest.fixture(scope="session")
def model(tiny: Path) -> DepthModel:
    """The tiny model by itself."""
    return DepthModel.load(tiny, threads=1)

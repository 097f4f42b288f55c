"""The server whose protocol is tested: that of DEPTHRT_OIP_URL and DEPTHRT_OIP_MODEL, or ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.models.full_model import build_full_model
from helpers.web.oip_client import Oip
from helpers.web.served import Running, serving


@pytest.fixture(scope="module")
def oip(request: pytest.FixtureRequest) -> Oip:
    """A model of any server."""
    url = os.environ.get("DEPTHRT_OIP_URL")
    if url:
        return Oip(url.rstrip("/"), os.environ["DEPTHRT_OIP_MODEL"])
    running: Running = request.getfixturevalue("running")
    return Oip(running.address, "tiny")


@pytest.fixture(scope="module")
def ours(running: Running) -> Oip:
    """The tiny model of a server of ours."""
    return Oip(running.address, "tiny")


@pytest.fixture(scope="session")
def full_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has every optional output."""
    return build_full_model(tmp_path_factory.mktemp("full") / "full.onnx")


@pytest.fixture(scope="module")
def full(full_file: Path) -> Iterator[Oip]:
    """The model with every optional output, served."""
    with serving(full_file) as running:
        yield Oip(running.address, "full")

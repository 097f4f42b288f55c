"""The command line."""

from __future__ import annotations

import pytest

from helpers.commands import Command


@pytest.fixture
def depthrt(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capfd, monkeypatch)

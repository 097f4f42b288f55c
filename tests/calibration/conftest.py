"""Frames that are as different as a test wants them, and the command line."""

from __future__ import annotations

import pytest

from helpers.commands import Command


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """`depthrt` in this process."""
    return Command(capfd, monkeypatch)

"""Frames that are as different as a test wants them, a clip with scenes, and the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from helpers.calibration_clips import SIZE, picture, write_video
from helpers.commands import Command


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """`depthrt` in this process."""
    return Command(capfd, monkeypatch)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Black, three scenes of 40 frames (one drifts, one stands still, one drifts), grey."""
    black, grey = np.zeros((*SIZE, 3), np.uint8), np.full((*SIZE, 3), 128, np.uint8)
    images = [black] * 6
    images += [picture(1, i / 40) for i in range(40)]
    images += [picture(2)] * 40
    images += [picture(3, i / 60) for i in range(40)]
    images += [grey] * 4
    return write_video(tmp_path_factory.mktemp("clip") / "scenes.mkv", images)

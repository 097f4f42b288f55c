"""What is left of clips when a server is killed."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest

from depthrt import DepthModel
from depthrt_serving.clips.clip_folder import ClipFolder, remove_abandoned
from depthrt_serving.clips.clip_job import ClipJob, ClipWishes
from helpers.files.clips import Clip, write_clip


def test_the_next_server_removes_what_a_killed_one_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed, young = tmp_path / "depthrt-clips-killed", tmp_path / "depthrt-clips-young"
    for folder in (killed / "job", young):
        folder.mkdir(parents=True)
    (killed / ".in_use").touch()
    (killed / "job" / "clip.mp4").touch()
    alive = ClipFolder()
    assert not killed.exists()
    assert young.exists()  # its server is about to lock it
    remove_abandoned()
    assert alive.path.exists()
    alive.remove()
    assert not alive.path.exists()


def test_a_job_ends_with_its_server(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    job = ClipJob(folder, ClipWishes())
    job.source = write_clip(folder / "clip.mp4", Clip(frames=3000))
    process = job.start(tiny, "cpu", DepthModel.load(tiny).spec.input)
    assert process.stdout is not None
    assert process.stdin is not None
    assert "total" in process.stdout.readline()
    process.stdin.close()  # as when the server is killed
    assert process.wait(30) == 1
    until_s = time.monotonic() + 10
    while folder.exists() and time.monotonic() < until_s:
        time.sleep(0.05)
    assert not folder.exists()
    process.stdout.close()

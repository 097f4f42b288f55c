"""Clips, models and the command line, for the tests of sources, sinks and commands."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

import depthrt.model.depth_model
import depthrt.pipeline.scheduling.scheduler
from depthrt.model.depth_model import DepthModel
from helpers.commands import Command
from helpers.files.clips import Clip, write_clip
from helpers.models.small_model import build_model

MakeClip = Callable[..., Path]


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """Whatever a test does, every thread of a pipeline ends."""
    yield
    end_s = time.monotonic() + 20  # a stream left to the garbage collector ends by itself
    while (left := _pipeline_threads()) and time.monotonic() < end_s:
        time.sleep(0.005)
    assert left == []


def _pipeline_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("depthrt-")]


@pytest.fixture
def model_of_three_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DepthModel:
    """A model for recordings, as on a machine with three cores."""
    for module in (depthrt.model.depth_model, depthrt.pipeline.scheduling.scheduler):
        monkeypatch.setattr(module, "usable_cores", lambda: 3)
    return DepthModel.load(
        build_model(tmp_path / "tiny.onnx"), provider="cpu", objective="throughput"
    )


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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mount a small file system: ``small_disk(200_000)``; skips where that is not allowed."""
    mounted: list[Path] = []

    def mount(size_bytes: int = 1 << 20, *, read_only: bool = False) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        options = f"size={size_bytes}" + (",ro" if read_only else "")
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "depthrt-test", str(place)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield mount
    # PyAV keeps a file open whose head could not be written, so that the disk may still be busy.
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)

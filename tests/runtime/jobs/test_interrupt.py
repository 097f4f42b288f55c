"""Ctrl-C and SIGTERM leave a playable file in its place."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from depthrt import read_depth
from helpers.commands import outcome, spawn
from helpers.files.clips import probe, sound_duration_s
from helpers.models.small_model import build_slow_model

MakeClip = Callable[..., Path]
FRAMES = 600


@pytest.fixture(scope="module")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_slow_model(tmp_path_factory.mktemp("slow") / "slow.onnx")


def _wait_for(process: subprocess.Popen[str], folder: Path, name: str) -> None:
    deadline = time.monotonic() + 60
    while not list(folder.glob(name)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.4)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize(
    ("output", "extra"),
    [
        ("out.mp4", ()),
        ("out.npz", ()),
        ("out.mp4", ("--keyframes", "2%", "--audit", "100%")),  # audits, so that it takes a while
    ],
    ids=["mp4", "npz", "keyframes"],
)
def test_what_was_done_is_put_in_its_place(
    make_clip: MakeClip,
    slow_model: Path,
    tmp_path: Path,
    number: signal.Signals,
    output: str,
    extra: tuple[str, ...],
) -> None:
    target = tmp_path / output
    source = make_clip(frames=FRAMES, sound="aac")
    process = spawn("run", source, "-m", slow_model, "-o", target, "--json", "--threads", 1, *extra)
    _wait_for(process, tmp_path, f"out.partial-*{target.suffix}")
    process.send_signal(number)
    ended = outcome(process)
    assert ended.complaint == "interrupted; what was done is kept"
    assert ended.code == 130
    assert ended.document["interrupted"] is True
    assert [path.name for path in tmp_path.iterdir()] == [output]
    if output == "out.npz":
        count = len(list(read_depth(target)))
    else:
        known = probe(target)
        count = len(known.times_s)
        assert known.times_s == probe(source).times_s[:count]
        assert sound_duration_s(target) == pytest.approx(float(known.duration_s), abs=0.1)
    assert 1 <= count < FRAMES
    assert abs(count - ended.document["frames"]) <= 1  # it may come between a frame and its count

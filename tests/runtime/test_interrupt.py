"""Ctrl-C and SIGTERM leave a playable file in its place."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from clips import probe, sound_duration_s
from commands import outcome, spawn
from depthrt import read_depth
from models import build_model

MakeClip = Callable[..., Path]
FRAMES = 600


@pytest.fixture(scope="module")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with work that changes nothing: some 20 ms a frame."""
    path = build_model(tmp_path_factory.mktemp("slow") / "slow.onnx", batch=1)
    model = onnx.load(path)
    graph = model.graph
    side = 700
    graph.node[-1].output[0] = "sum"
    for name, content in (
        ("matrix", np.zeros((side, side), np.float32)),
        ("shape", np.array([side, side], np.int64)),
        ("first", np.zeros(1, np.int64)),
    ):
        graph.initializer.append(numpy_helper.from_array(content, name))
    graph.node.extend(
        [
            helper.make_node("ReduceMax", ["sum"], ["most"], keepdims=0),
            helper.make_node("Expand", ["most", "shape"], ["work0"]),
            *(
                helper.make_node("MatMul", [f"work{i}", "matrix"], [f"work{i + 1}"])
                for i in range(4)
            ),
            helper.make_node("ReduceMax", ["work4"], ["nothing"], keepdims=0),
            helper.make_node("Add", ["sum", "nothing"], ["depth"]),
        ]
    )
    onnx.save(model, path)
    return path


def _wait_for(process: subprocess.Popen[str], place: Path) -> None:
    deadline = time.monotonic() + 60
    while not place.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.4)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize("output", ["out.mp4", "out.npz"])
def test_what_was_done_is_put_in_its_place(
    make_clip: MakeClip, slow_model: Path, tmp_path: Path, number: signal.Signals, output: str
) -> None:
    target = tmp_path / output
    source = make_clip(frames=FRAMES, sound="aac")
    process = spawn("run", source, "-m", slow_model, "-o", target, "--json", "--threads", 1)
    raw = target.with_name("out.partial.48x64.f32")
    _wait_for(process, raw if output == "out.npz" else target.with_name("out.partial.mp4"))
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
    assert count <= ended.document["frames"]

"""JSON lines: the figures of every frame, there as soon as it is done."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from depthrt import DepthModel, Stats, WriteError, read_depth, stream
from depthrt.sinks.jsonl import JsonlSink, record
from helpers.commands import spawn
from helpers.models.small_model import build_slow_model

MakeClip = Callable[..., Path]


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_says_what_the_frame_is(make_clip: MakeClip, model: DepthModel) -> None:
    source = make_clip(event_s=0.4)
    results = list(stream(source, model))
    said = [record(result, 7) for result in results]
    assert [line["index"] for line in said] == list(range(25))
    assert [line["time_s"] for line in said] == pytest.approx([n / 25 for n in range(25)])
    assert [line["index"] for line in said if line["scene_cut"]] == [10]
    for line, result in zip(said, results, strict=True):
        values = result.depth.values
        assert line["stream"] == source.name
        assert (line["kind"], line["unit"]) == ("inverse_depth", None)
        assert (line["latency_ms"], line["reused"], line["dropped"]) == (None, False, 7)
        assert line["range"] == pytest.approx(result.display_range, rel=1e-5)
        assert line["depth"]["min"] == pytest.approx(values.min(), rel=1e-5)
        assert line["depth"]["max"] == pytest.approx(values.max(), rel=1e-5)
        assert line["depth"]["p50"] == pytest.approx(np.median(values), rel=0.02)
        assert line["depth"]["p5"] <= line["depth"]["p50"] <= line["depth"]["p95"]


def test_latency_is_in_milliseconds(make_clip: MakeClip, model: DepthModel) -> None:
    result = next(stream(make_clip(), model))
    assert record(replace(result, latency_s=0.0123), 0)["latency_ms"] == 12.3


def test_depth_of_an_earlier_frame_is_said(make_clip: MakeClip, model: DepthModel) -> None:
    result = next(stream(make_clip(), model))
    assert record(replace(result, reused=True), 0)["reused"] is True


def test_each_line_is_there_at_once(make_clip: MakeClip, model: DepthModel, tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    stats = Stats(dropped=2)
    sink = JsonlSink(target, lambda name: stats.dropped)
    for number, result in enumerate(stream(make_clip(), model)):
        assert sink.write(result)
        stats.drop()
        found = lines_of(target)
        assert [line["index"] for line in found] == list(range(number + 1))
        assert found[-1]["dropped"] == number + 2
    assert sink.close(complete=True) == target
    assert len(lines_of(target)) == 25


def test_a_named_pipe_is_written_to_and_may_be_closed(
    make_clip: MakeClip, model: DepthModel, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["head", "-n", "2", str(pipe)], stdout=subprocess.PIPE, text=True)
    sink = JsonlSink(pipe, lambda name: 0)
    result = next(stream(make_clip(), model))
    for _ in range(2):
        assert sink.write(result)
    out, _ = reader.communicate(timeout=30)
    assert [json.loads(line)["index"] for line in out.splitlines()] == [0, 0]
    assert not sink.write(result)  # nobody reads any more
    sink.close(complete=True)
    assert pipe.is_fifo()


def test_a_full_disk_leaves_whole_lines(
    make_clip: MakeClip,
    model: DepthModel,
    small_disk: Callable[..., Path],
) -> None:
    target = small_disk(8192) / "out.jsonl"
    sink = JsonlSink(target, lambda name: 0)
    results = list(stream(make_clip(), model)) * 9
    with pytest.raises(WriteError, match=r"writing out\.jsonl failed .*: free space"):
        all(map(sink.write, results))
    assert sink.close(complete=False) == target
    found = lines_of(target)
    assert [line["index"] for line in found] == [n % 25 for n in range(len(found))]
    assert target.stat().st_size > 7000
    assert target.read_bytes()[-1:] == b"\n"


def test_a_reader_that_leaves_does_not_cut_the_recording_short(
    make_clip: MakeClip, model_path: Path, tmp_path: Path
) -> None:
    source, target = make_clip(frames=200), tmp_path / "out.npz"
    with spawn("run", source, "-m", model_path, "-o", target, "--jsonl", "-") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["index"] == 0
        process.stdout.close()
        assert process.wait(timeout=60) == 0
    assert len(list(read_depth(target))) == 200


def test_a_reader_that_leaves_ends_a_run_that_has_no_other(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    slow = build_slow_model(tmp_path / "slow.onnx")
    clip = make_clip(frames=600)
    with spawn("run", clip, "-m", slow, "--jsonl", "-", "--threads", 1) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(timeout=60) == 0
    assert 1 <= int(said.split(" frames in ")[0].split()[-1]) < 600

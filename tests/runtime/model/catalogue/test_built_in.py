"""What comes with depthrt: the built-in model, the demo clip and its exact depth."""

from __future__ import annotations

import json
from pathlib import Path

import av
import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from depthrt import DepthModel, open_source, stream
from depthrt.cli import app
from depthrt.model.catalogue.registry import DEMO_CLIP, built_in_models, find_model
from depthrt_export.proof.fidelity import disparity_lsq

DEPTH = DEMO_CLIP.with_name("demo_depth")


@pytest.fixture(scope="module")
def model() -> DepthModel:
    return DepthModel.load(provider="cpu")


def absolute_relative_error(
    prediction: NDArray[np.float32], depth_m: NDArray[np.float32], cap_m: float
) -> float:
    """AbsRel after ``disparity-lsq`` (MiDaS): one image, valid pixels below the cap."""
    valid = (depth_m > 0) & (depth_m < cap_m)
    scale, shift = disparity_lsq(prediction[valid], 1 / depth_m[valid])
    aligned_m = 1 / np.maximum(scale * prediction[valid] + shift, 1 / cap_m)
    return float(np.mean(np.abs(aligned_m - depth_m[valid]) / depth_m[valid]))


def test_the_model_is_small_int8_and_says_what_was_measured(model: DepthModel) -> None:
    assert model.path.stat().st_size <= 6_000_000
    assert model.spec.precision == "int8"
    assert model.spec.kind == "inverse_depth"
    assert model.spec.licence == "Apache-2.0"
    assert model.fixed_batch is None
    assert model.spec.measured
    assert model.spec.output_range is not None


def test_the_graph_reads_pixels_as_integers_and_keeps_chains_whole(model: DepthModel) -> None:
    graph = onnx.load(model.path).graph
    weighted = [node for node in graph.node if node.op_type == "Conv"]
    in_float = [node.name for node in weighted if node.name in model.spec.float_nodes]
    assert len(in_float) <= 1  # the head, which has more than 256 levels
    readers = [node.op_type for node in graph.node if "image" in node.input]
    assert readers == ["DequantizeLinear"]
    assert "Cast" not in {node.op_type for node in graph.node}


def test_the_clip_is_short_small_h264(tmp_path: Path) -> None:
    assert DEMO_CLIP.stat().st_size <= 1_000_000
    with av.open(str(DEMO_CLIP)) as container:
        stream_ = container.streams.video[0]
        assert stream_.codec_context.name == "h264"
        assert 5 <= float(container.duration or 0) / av.time_base <= 10


def test_the_model_sees_the_clips_exact_depth(model: DepthModel) -> None:
    facts = json.loads((DEPTH / "dataset.json").read_text())
    wanted = set(facts["frames"])
    errors, naive = [], []
    for result in stream(DEMO_CLIP, model):
        if result.frame.index not in wanted:
            continue
        path = DEPTH / f"{result.frame.index:06d}.png"
        codes = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert codes is not None
        assert codes.dtype == np.uint16
        depth_m = codes.astype(np.float32) * np.float32(facts["depth_unit_m"])
        errors.append(absolute_relative_error(result.depth.at_image_size(), depth_m, 80))
        rows = np.linspace(0, 1, depth_m.shape[0], dtype=np.float32)[:, None]
        guess = np.broadcast_to(rows, depth_m.shape).copy()
        naive.append(absolute_relative_error(guess, depth_m, 80))
    assert len(errors) == len(wanted)
    # 'Lower is nearer' explains much of a street; the model must see clearly more than that.
    assert np.mean(errors) < 0.8 * np.mean(naive)


def test_the_demo_runs_from_the_command_line(tmp_path: Path) -> None:
    target = tmp_path / "demo.mp4"
    arguments = ["run", "demo", "-o", str(target), "--view", "side", "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    info = open_source("demo").info
    assert summary["frames"] == info.frame_count
    with av.open(str(target)) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == info.frame_count
    assert (frames[0].height, frames[0].width) == (info.size[0], 2 * info.size[1])


def test_the_built_in_sizes_hold_a_rate_together(tmp_path: Path) -> None:
    arguments = ["run", "demo", "-o", str(tmp_path / "demo.mp4"), "--max-frames", "5"]
    done = CliRunner().invoke(app, [*arguments, "--target-fps", "1", "--json"])
    assert done.exit_code == 0, done.output
    rungs = json.loads(done.stdout)["ladder"]["rungs"]
    assert [rung["model"].split()[0] for rung in rungs] == ["depthrt-s", "depthrt-xs"]
    assert [rung["frames"] for rung in rungs] == [5, 0]


def test_the_small_one_sees_what_the_other_does(model: DepthModel) -> None:
    small = DepthModel.load("depthrt-xs", provider="cpu")
    frame = next(iter(open_source("demo").frames()))
    maps = [each(frame.pixels).at_image_size()[::8, ::8].ravel() for each in (model, small)]
    assert np.corrcoef(*maps)[0, 1] > 0.95


def test_models_and_info_know_it() -> None:
    listed = json.loads(CliRunner().invoke(app, ["models", "--json"]).stdout)
    built_in = [row for row in listed if row["state"] == "built in"]
    assert {row["name"]: row["default"] for row in built_in} == {
        "depthrt-s": True,
        "depthrt-xs": False,
    }
    told = json.loads(CliRunner().invoke(app, ["info", "depthrt-s", "--json"]).stdout)
    assert told["spec"]["name"] == "depthrt-s"
    assert told["bound_provider"] == "cpu"
    text = CliRunner().invoke(app, ["info", "depthrt-s"]).stdout
    assert "precision" in text
    assert find_model(None) == built_in_models()["depthrt-s"]

"""A real trained network on real sets, against the figures published with them."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from depthrt.spec import METADATA_KEY, InputSpec, ModelSpec
from helpers.commands import Command

# Beside the data: colour and prediction resized by OpenCV, cap and range of dataset.json,
# disparity-lsq an image, mean over images.
PUBLISHED = {
    "realsense_desk": (0.210, 0.667),
    "phone_lidar_desk": (0.160, 0.759),
    "box_on_floor": (0.154, 0.751),
}


def with_contract(source: Path, target: Path) -> Path:
    """TCMonoDepth-small's own ONNX file, taking uint8 and giving N,H,W."""
    model = onnx.load(source)
    graph = model.graph
    before, after = graph.input[0].name, graph.output[0].name
    graph.node.insert(0, helper.make_node("Cast", ["image"], [before], to=TensorProto.FLOAT))
    # The file is of opset 11, where the axes are an attribute.
    graph.node.append(helper.make_node("Squeeze", [after], ["depth"], axes=[1]))
    del graph.input[:], graph.output[:]
    graph.input.append(helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 3, 192, 320]))
    graph.output.append(helper.make_tensor_value_info("depth", TensorProto.FLOAT, [1, 192, 320]))
    spec = ModelSpec("tcmonodepth-small", "inverse_depth", InputSpec(192, 320))
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    onnx.save(model, target)
    return target


@pytest.mark.data
@pytest.mark.slow
def test_tcmonodepth_small_agrees_with_the_published_figures(
    data: Path, tmp_path: Path, command: Command
) -> None:
    model = with_contract(
        data / "models/tcmonodepth_small/model_192x320.onnx", tmp_path / "tc.onnx"
    )
    folders = [data / "rgbd" / name for name in PUBLISHED]
    done = command("eval", model, *folders, "--no-video", "--json")
    assert done.code == 0, done.err
    for found in done.document["evaluations"]:
        abs_rel, delta1 = PUBLISHED[found["dataset"]]
        assert found["metrics"]["abs_rel"]["value"] == pytest.approx(abs_rel, abs=5e-3)
        assert found["metrics"]["delta1"]["value"] == pytest.approx(delta1, abs=5e-3)
        assert found["metrics"]["abs_rel"]["low"] < abs_rel < found["metrics"]["abs_rel"]["high"]

"""The order of channels, turned in the first convolution's weights."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from depthrt_export.graph.fold_pixels import BGR, fold_channel_order

IMAGE = np.random.default_rng(1).integers(0, 256, (1, 3, 8, 8), np.uint8)


def network(group: int = 1, second_reader: bool = False) -> onnx.ModelProto:
    """``image -> Cast -> Gather (blue first) -> Conv``."""
    weight = np.random.default_rng(2).normal(size=(3, 3 // group, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["pixels", BGR], ["turned"], axis=1),
        helper.make_node("Conv", ["turned", "w"], ["made"], group=group, pads=[1] * 4),
    ]
    if second_reader:
        nodes.append(helper.make_node("Add", ["made", "turned"], ["out"]))
    else:
        nodes.append(helper.make_node("Identity", ["made"], ["out"]))
    weights = [
        numpy_helper.from_array(np.array([2, 1, 0], np.int64), BGR),
        numpy_helper.from_array(weight, "w"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 3, 8, 8])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def run(model: onnx.ModelProto) -> NDArray[np.float32]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": IMAGE})[0])


def test_the_first_convolution_takes_it() -> None:
    model = network()
    expected = run(model)
    assert fold_channel_order(model).startswith("the order of channels folded")
    assert [node.op_type for node in model.graph.node] == ["Cast", "Conv", "Identity"]
    assert [tensor.name for tensor in model.graph.initializer] == ["made.of_rgb"]
    np.testing.assert_allclose(run(model), expected, rtol=1e-4, atol=1e-2)
    assert np.abs(expected).max() > 100


@pytest.mark.parametrize("changed", [{"group": 3}, {"second_reader": True}])
def test_it_stays_where_others_read_it_or_channels_are_apart(changed: dict[str, int]) -> None:
    model = network(**changed)  # type: ignore[arg-type]
    before = model.SerializeToString()
    assert fold_channel_order(model) == "channels turned to blue, green, red before the first layer"
    assert model.SerializeToString() == before


def test_a_network_of_red_first_is_left_alone() -> None:
    model = network()
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.array([0, 1, 2]), BGR))
    assert fold_channel_order(model) == ""

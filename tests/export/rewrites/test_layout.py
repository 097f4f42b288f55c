"""Stem and tail of int8 graphs laid out for onnxruntime: the same numbers, other nodes."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from depthrt_export.report.export_report import Report
from depthrt_export.rewrites.int8_layout import lay_out_head, lay_out_stem

RANDOM = np.random.default_rng(2)
node = helper.make_node


def made(
    nodes: list[onnx.NodeProto],
    constants: dict[str, NDArray[np.generic]],
    output: list[int | str],
    size: tuple[int, int] = (24, 32),
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "part",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 3, *size])],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model: onnx.ModelProto, size: tuple[int, int] = (24, 32)) -> NDArray[np.float32]:
    onnx.checker.check_model(model, full_check=True)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    pixels = np.random.default_rng(7).integers(0, 256, (2, 3, *size), dtype=np.uint8)
    return np.asarray(session.run(None, {"image": pixels})[0])


def quantised_stem(
    kernel: tuple[int, int], pads: list[int], stride: int = 2, size: tuple[int, int] = (24, 32)
) -> onnx.ModelProto:
    """image -> DequantizeLinear -> Conv with int8 weights per channel -> depth."""
    constants = {
        "one": np.float32(1),
        "middle": np.uint8(116),
        "w": RANDOM.integers(-127, 128, (5, 3, *kernel), dtype=np.int8),
        "w_scale": RANDOM.uniform(0.001, 0.01, 5).astype(np.float32),
        "w_zero": np.zeros(5, np.int8),
    }
    nodes = [
        node("DequantizeLinear", ["image", "one", "middle"], ["x"], "pixels"),
        node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["weight"], "weight", axis=0),
        node("Conv", ["x", "weight"], ["depth"], "stem", strides=[stride] * 2, pads=pads),
    ]
    return made(nodes, constants, ["n", 5, "h", "v"], size)


@pytest.mark.parametrize(
    ("kernel", "pads"),
    [((3, 3), [1, 1, 1, 1]), ((3, 3), [0, 0, 1, 1]), ((7, 7), [3, 3, 3, 3]),
     ((5, 5), [2, 2, 2, 2]), ((2, 2), [0, 0, 0, 0]), ((4, 4), [1, 1, 1, 1]),
     ((3, 5), [1, 2, 1, 2]), ((1, 1), [0, 0, 0, 0])],
)  # fmt: skip
def test_lay_out_stem_gives_the_same(kernel: tuple[int, int], pads: list[int]) -> None:
    model = quantised_stem(kernel, pads)
    expected = run(model)
    assert lay_out_stem(model.graph)
    assert [n.op_type for n in model.graph.node].count("SpaceToDepth") == 1
    result = run(model)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(
    ("stride", "size"), [(1, (24, 32)), (2, (25, 32))], ids=["stride 1", "odd side"]
)
def test_stem_that_has_no_blocks_stays(stride: int, size: tuple[int, int]) -> None:
    model = quantised_stem((3, 3), [1, 1, 1, 1], stride, size)
    before = model.SerializeToString()
    assert not lay_out_stem(model.graph)
    assert model.SerializeToString() == before


def test_resize_of_one_channel_gives_the_same() -> None:
    constants = {
        "w": RANDOM.normal(size=(1, 3, 1, 1)).astype(np.float32),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "half": np.float32(0.5),
        "one": np.array([1], np.int64),
    }
    nodes = [
        node("Cast", ["image"], ["x"], "cast", to=TensorProto.FLOAT),
        node("Conv", ["x", "w"], ["y"], "conv"),
        node("Resize", ["y", "", "scales"], ["z"], "resize", mode="linear"),
        node("Add", ["z", "half"], ["more"], "add"),
        node("Squeeze", ["more", "one"], ["depth"], "squeeze"),
    ]
    model = made(nodes, constants, ["n", 48, 64])
    expected = run(model)
    assert lay_out_head(model) == ["resize"]
    np.testing.assert_allclose(run(model), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "block"), [((24, 32), 4), ((18, 22), 2), ((19, 22), 0)], ids=["4x4", "2x2", "none"]
)
@pytest.mark.parametrize("bias", [True, False])
def test_convolution_to_one_channel_gives_the_same(
    size: tuple[int, int], block: int, bias: bool
) -> None:
    constants = {
        "w": RANDOM.normal(size=(1, 3, 3, 5)).astype(np.float32),
        "b": np.array([3.0], np.float32),
        "one": np.array([1], np.int64),
    }
    taken = ["x", "w", "b"] if bias else ["x", "w"]
    nodes = [
        node("Cast", ["image"], ["x"], "cast", to=TensorProto.FLOAT),
        node("Conv", taken, ["y"], "conv", pads=[1, 2, 1, 2]),
        node("Squeeze", ["y", "one"], ["depth"], "squeeze"),
    ]
    model = made(nodes, constants, ["n", *size], size)
    expected = run(model, size)
    assert lay_out_head(model) == (["conv"] if block else [])
    laid = [helper.get_node_attr_value(n, "blocksize") for n in model.graph.node
            if n.op_type == "DepthToSpace"]  # fmt: skip
    assert laid == ([block] if block else [])
    np.testing.assert_allclose(run(model, size), expected, rtol=1e-4, atol=1e-2)


def last_1x1(rows: int, columns: int, **attributes: object) -> onnx.ModelProto:
    """Pixels that were int8, a 1x1 convolution of them, and depth of this size."""
    constants = {
        "scale": np.float32(0.02),
        "middle": np.uint8(116),
        "w": RANDOM.normal(size=(1, 3, 1, 1)).astype(np.float32),
        "b": np.array([3.0], np.float32),
        "one": np.array([1], np.int64),
    }
    nodes = [
        node("DequantizeLinear", ["image", "scale", "middle"], ["x"], "pixels"),
        node("Conv", ["x", "w", "b"], ["y"], "conv", **attributes),
        node("Squeeze", ["y", "one"], ["depth"], "squeeze"),
    ]
    return made(nodes, constants, ["n", rows, columns])


def test_product_of_what_was_int8_gives_the_same() -> None:
    model = last_1x1(24, 32)
    expected = run(model)
    assert lay_out_head(model) == ["conv"]
    assert [n.op_type for n in model.graph.node if n.name == "conv"] == ["MatMul"]
    assert [n.op_type for n in model.graph.node][-2:] == ["Add", "Squeeze"]  # to N,1,H,W: fast
    assert "w" not in [i.name for i in model.graph.initializer]
    np.testing.assert_allclose(run(model), expected, rtol=1e-5, atol=1e-5)


def test_padding_of_a_1x1_convolution_stays() -> None:
    model = last_1x1(26, 34, pads=[1, 1, 1, 1])
    assert lay_out_head(model) == []
    depth = run(model)
    assert depth.shape == (2, 26, 34)
    assert (depth[:, 0] == 3).all()  # the border sees the bias alone


def test_exported_int8_has_a_lean_head(unet_int8: Report) -> None:
    graph = onnx.load(unet_int8.target).graph
    assert [n.name for n in graph.node if n.op_type == "DepthToSpace"] == ["head/Conv.in_blocks"]

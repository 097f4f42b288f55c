"""float16 and bfloat16: what is converted, what stays, and that the contract's ends do not move."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from depthrt_calibration.frames import Sample
from depthrt_export.precision import HalfPrecision, to_half

RANDOM = np.random.default_rng(4)
SAMPLES = [Sample(RANDOM.integers(0, 256, (3, 8, 12), dtype=np.uint8), f"#{i}") for i in range(3)]


def chain(gain: float, opset: int = 22) -> onnx.ModelProto:
    """image -> Cast -> Sub -> Conv -> Mul gain -> Mul 1/gain -> Exp -> Resize -> Squeeze."""
    constants = {
        "pixel_zero": np.float32(116),
        "weight": (RANDOM.normal(size=(1, 3, 1, 1)) / 200).astype(np.float32),
        "gain": np.float32(gain),
        "inverse": np.float32(1 / gain),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "axes": np.array([1], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["image"], ["pixels"], "cast", to=TensorProto.FLOAT),
        node("Sub", ["pixels", "pixel_zero"], ["centred"], "sub"),
        node("Conv", ["centred", "weight"], ["a"], "conv"),
        node("Mul", ["a", "gain"], ["b"], "up"),
        node("Mul", ["b", "inverse"], ["c"], "down"),
        node("Exp", ["c"], ["d"], "exp"),
        node("Resize", ["d", "", "scales"], ["e"], "resize", mode="linear"),
        node("Squeeze", ["e", "axes"], ["depth"], "squeeze"),
    ]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 3, 8, 12])],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, ["batch", 16, 24])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def run(model: onnx.ModelProto) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": SAMPLES[0].pixels[None]})[0])


@pytest.mark.parametrize(
    ("gain", "kept"),
    [(1.0, ("exp",)), (1e6, ("up", "down", "exp")), (1e-7, ("up", "down", "exp"))],
)
def test_what_float16_cannot_hold_stays(gain: float, kept: tuple[str, ...]) -> None:
    model = chain(gain)
    result = to_half(model, "float16", SAMPLES)
    onnx.checker.check_model(result.model, full_check=True)
    assert result.float_nodes == kept
    assert any("range: up, down" in note for note in result.notes) == (len(kept) == 3)
    expected, depth = run(model), run(result.model)
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, expected, rtol=5e-3)
    assert not np.array_equal(depth, expected)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_ends_stay_and_weights_shrink(precision: HalfPrecision) -> None:
    model = chain(1.0)
    result = to_half(model, precision, SAMPLES).model
    onnx.checker.check_model(result, full_check=True)
    assert result.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
    assert result.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    wanted = TensorProto.FLOAT16 if precision == "float16" else TensorProto.BFLOAT16
    types = {i.name: i.data_type for i in result.graph.initializer}
    assert types["weight.half"] == wanted
    assert types["scales"] == types["pixel_zero"] == TensorProto.FLOAT
    assert "weight" not in types


def test_bfloat16_needs_no_range_but_an_opset() -> None:
    assert to_half(chain(1e6), "bfloat16", SAMPLES).float_nodes == ("exp",)
    old = to_half(chain(1.0, opset=20), "bfloat16", SAMPLES).model  # Conv takes no bfloat16 there
    conv = next(node for node in old.graph.node if node.name == "conv")
    assert conv.input[1] == "weight"

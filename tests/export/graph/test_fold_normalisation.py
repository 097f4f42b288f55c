"""The normalisation folded into the first convolution, on graphs small enough to see through."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from depthrt_export.graph.fold_pixels import fold_normalisation

IMAGENET = (123.675, 116.28, 103.53)
GAIN = (1 / 58.395, 1 / 57.12, 1 / 57.375)
RANDOM = np.random.default_rng(5)
WEIGHT = RANDOM.normal(size=(4, 3, 3, 3)).astype(np.float32)
BIAS = RANDOM.normal(size=4).astype(np.float32)
IMAGE = RANDOM.integers(0, 256, (1, 3, 9, 11), dtype=np.uint8)


def graph(
    zero: tuple[float, ...], pad: int, *, bias: bool = True, through: str = ""
) -> onnx.ModelProto:
    """image -> Cast -> Sub -> Mul [-> another operator] -> Conv."""
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["pixels", "pixel_zero"], ["centred"]),
        helper.make_node("Mul", ["centred", "pixel_gain"], ["normalised"]),
    ]
    entry = "normalised"
    if through:
        nodes.append(helper.make_node(through, ["normalised"], ["between"]))
        entry = "between"
    inputs = [entry, "weight", *(["bias"] if bias else [])]
    nodes.append(helper.make_node("Conv", inputs, ["depth"], pads=[pad] * 4))
    constants = {
        "pixel_zero": np.array(zero, np.float32).reshape(1, 3, 1, 1),
        "pixel_gain": np.array(GAIN, np.float32).reshape(1, 3, 1, 1),
        "weight": WEIGHT,
        **({"bias": BIAS} if bias else {}),
    }
    return helper.make_model(
        helper.make_graph(
            nodes,
            "first",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 3, 9, 11])],
            [helper.make_tensor_value_info("depth", TensorProto.FLOAT, [1, 4, None, None])],
            [numpy_helper.from_array(v, k) for k, v in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )


def run(model: onnx.ModelProto) -> NDArray[np.float32]:
    onnx.checker.check_model(model)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": IMAGE})[0])


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize(
    ("zero", "pad", "left", "expected_zero"),
    [
        (IMAGENET, 0, ["Cast", "Conv"], (0.0,)),
        (IMAGENET, 1, ["Cast", "Sub", "Conv"], IMAGENET),
        ((116.0,) * 3, 1, ["Cast", "Sub", "Conv"], (116.0,)),
        ((0.0,) * 3, 1, ["Cast", "Conv"], (0.0,)),
    ],
)
@pytest.mark.parametrize("bias", [True, False])
def test_fold_is_exact_to_the_border(
    zero: tuple[float, ...],
    pad: int,
    left: list[str],
    expected_zero: tuple[float, ...],
    bias: bool,
) -> None:
    expected = run(graph(zero, pad, bias=bias))
    model = graph(zero, pad, bias=bias)
    result = fold_normalisation(model)
    assert operators(model) == left
    assert result.zero == pytest.approx(expected_zero, rel=1e-6)
    np.testing.assert_allclose(run(model), expected, atol=3e-5)


def test_what_is_no_convolution_stays_in_place() -> None:
    expected = run(graph(IMAGENET, 1, through="Relu"))
    model = graph(IMAGENET, 1, through="Relu")
    result = fold_normalisation(model)
    assert operators(model) == ["Cast", "Sub", "Mul", "Relu", "Conv"]
    assert result.zero is None
    assert "before Relu" in result.note
    np.testing.assert_array_equal(run(model), expected)


def test_convolutions_that_share_a_weight_keep_each_its_own_fold() -> None:
    model = graph(IMAGENET, 0)
    first = model.graph.node[-1]
    first.output[0] = "one"
    other = helper.make_node("Conv", [first.input[0], "weight", "other"], ["two"], name="second")
    model.graph.node.extend([other, helper.make_node("Add", ["one", "two"], ["depth"])])
    model.graph.initializer.append(numpy_helper.from_array(5 - BIAS, "other"))
    first.name = "first"
    before = run(model)
    fold_normalisation(model)
    np.testing.assert_allclose(run(model), before, atol=1e-3)
    names = [tensor.name for tensor in model.graph.initializer]
    assert len(names) == len(set(names))

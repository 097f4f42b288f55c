"""float16 and bfloat16: what is converted, what stays, and that the contract's ends do not move."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from depthrt_export.quantise.half import HalfPrecision, to_half
from networks.half_chain import SAMPLES, chain
from networks.half_chain import run_first as run


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

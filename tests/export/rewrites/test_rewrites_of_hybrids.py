"""Rewrites for networks of convolutions and attention, each on the smallest graph that shows it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import parser

from helpers.models.rewritten import check, noise, parse

CONV, POINTWISE = "Conv <pads=[1,1,1,1]> (x, w, b)", "Conv (a, v, c)"


def separable(
    made: int, outputs: int, first: str = CONV, second: str = POINTWISE, more: str = ""
) -> onnx.ModelProto:
    """3x3 from 4 to ``made`` channels, then 1x1 to ``outputs``."""
    return parse(
        f"""g (float[N,4,6,8] x) => (float[N,{outputs},h,w] y) {{
            a = {first}
            {"z" if more else "y"} = {second}
            {more}
        }}""",
        w=noise(made, 4, 3, 3, seed=1), b=noise(made, seed=2),
        v=noise(outputs, made, 1, 1, seed=3), c=noise(outputs, seed=4),
    )  # fmt: skip


@pytest.mark.parametrize("strides", ["", ", strides=[2,2]"])
def test_a_pointwise_convolution_joins_the_one_before_it(strides: str) -> None:
    first = f"Conv <pads=[1,1,1,1]{strides}> (x, w, b)"
    operators, lines = check(separable(6, 5, first), noise(2, 4, 6, 8))
    assert operators == Counter({"Conv": 1})
    assert lines == ["1x1 convolution computed by the one before it: 1"]


@pytest.mark.parametrize(
    ("first", "second"),
    [("Conv <pads=[1,1,1,1]> (x, w)", POINTWISE), (CONV, "Conv (a, v)")],
)
def test_either_bias_may_be_missing(first: str, second: str) -> None:
    operators, _ = check(separable(6, 5, first, second), noise(1, 4, 6, 8))
    assert operators == Counter({"Conv": 1})


def test_a_composition_that_takes_more_products_is_left_alone() -> None:
    model = separable(2, 16)  # 4*9*2 + 2*16 products a pixel, composed 4*9*16
    operators, lines = check(model, noise(1, 4, 6, 8))
    assert (operators["Conv"], lines) == (2, [])


@pytest.mark.parametrize(
    ("second", "more"),
    [
        ("Conv <pads=[1,1,1,1]> (a, v, c)", ""),
        ("Conv <strides=[2,2]> (a, v, c)", ""),
        (POINTWISE, "y = Add (a, z)"),
    ],
    ids=["padded", "strided", "read twice"],
)
def test_other_pairs_stay_two(second: str, more: str) -> None:
    operators, _ = check(separable(6, 6, second=second, more=more), noise(1, 4, 6, 8))
    assert operators["Conv"] == 2


TO_TOKENS, TO_MAP = [0, 3, 5, 2, 4, 1], [0, 5, 3, 1, 4, 2]


def patches(
    perm: list[int], cut: list[int], whole: list[int], shape: str, made: str
) -> onnx.ModelProto:
    """Cut, transpose and put together a tensor."""
    return parse(
        f"""g (float[{shape}] x) => (float[{made}] y) {{
            a = Reshape (x, cut)
            b = Transpose <perm={perm}> (a)
            y = Reshape (b, whole)
        }}""",
        cut=np.array(cut), whole=np.array(whole),
    )  # fmt: skip


@pytest.mark.parametrize("perm", [TO_TOKENS, [0, 2, 4, 3, 5, 1]], ids=["by place", "by patch"])
@pytest.mark.parametrize("batch", ["1", "N"])
def test_patches_are_cut_by_space_to_depth(perm: list[int], batch: str) -> None:
    model = patches(perm, [-1, 3, 4, 2, 5, 2], [-1, 4, 20, 3], f"{batch},3,8,10", f"{batch},4,20,3")
    operators, lines = check(model, noise(1, 3, 8, 10))
    assert operators["SpaceToDepth"] == 1
    assert lines == ["patches cut in fast steps: 1"]


@pytest.mark.parametrize("batch", ["1", "N"])
def test_patches_are_put_together_by_rows_of_channels(batch: str) -> None:
    model = patches(
        TO_MAP, [-1, 2, 2, 4, 5, 3], [-1, 3, 8, 10], f"{batch},4,20,3", f"{batch},3,8,10"
    )
    operators, lines = check(model, noise(1, 4, 20, 3))
    assert operators["Transpose"] == 2
    assert lines == ["patches cut in fast steps: 1"]


def test_patches_that_are_not_square_are_left_alone() -> None:
    model = patches(TO_TOKENS, [-1, 3, 4, 2, 2, 5], [-1, 10, 8, 3], "N,3,8,10", "N,10,8,3")
    operators, lines = check(model, noise(1, 3, 8, 10))
    assert (operators["SpaceToDepth"], lines) == (0, [])


def attention_by_place(batch: str, bias: NDArray[np.float32] | None = None) -> onnx.ModelProto:
    """MobileViT's: B,P,S,H*D with 2 places, 5 tokens, 3 heads of 4."""
    model = parser.parse_model(
        f"""<ir_version: 9, opset_import: ["": 20]>
        g (float[{batch},2,5,12] x) => (float[{batch},2,5,12] y) {{
            q0 = Reshape (x, split)
            q = Transpose <perm=[0,1,3,2,4]> (q0)
            k0 = Reshape (x, split)
            k = Transpose <perm=[0,1,3,4,2]> (k0)
            v0 = Reshape (x, split)
            v = Transpose <perm=[0,1,3,2,4]> (v0)
            s0 = MatMul (q, k)
            s1 = Mul (s0, scale)
            s = {"Add (s1, bias)" if bias is not None else "Identity (s1)"}
            p = Softmax <axis=-1> (s)
            o = MatMul (p, v)
            t = Transpose <perm=[0,1,3,2,4]> (o)
            y = Reshape (t, merge)
        }}"""
    )
    constants = {"split": np.array([-1, 2, 5, 3, 4]), "merge": np.array([-1, 2, 5, 12])}
    values = {**constants, "scale": np.float32(0.5).reshape(())}
    if bias is not None:
        values["bias"] = bias
    for name, content in values.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(content, name))
    return model


@pytest.mark.parametrize("batch", ["1", "N"])
def test_attention_at_each_place_of_a_patch_is_fused(batch: str) -> None:
    operators, lines = check(attention_by_place(batch), noise(1, 2, 5, 12))
    assert operators["MultiHeadAttention"] == 1
    assert "Softmax" not in operators
    assert lines[-1] == "attention -> MultiHeadAttention: 1"


def test_attention_at_each_place_with_a_bias_is_left_alone() -> None:
    bias = noise(1, 2, 3, 5, 5)
    operators, _ = check(attention_by_place("1", bias), noise(1, 2, 5, 12))
    assert operators["MultiHeadAttention"] == 0

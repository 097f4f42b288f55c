"""What of a network with attention is quantised: convolutions, and what stands between them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest

from depthrt_calibration.frames import Sample
from depthrt_export.quantise.convolution_chains import convolution_chains, is_hybrid
from depthrt_export.quantise.recipes import Material, apply
from depthrt_export.quantise.targets import (
    CHAINS,
    CHAINS_DYNAMIC,
    CHAINS_PRODUCTS,
    DYNAMIC,
    DYNAMIC_SMOOTH,
    PRODUCTS,
    target,
)
from helpers.models.rewritten import noise, parse

_SIDE = 16


def hybrid() -> onnx.ModelProto:
    """Two convolutions, attention over pixels, and two more with a skip connection."""
    model = parse(
        f"""g (uint8[1,3,{_SIDE},{_SIDE}] image) => (float[1,1,{_SIDE},{_SIDE}] depth) {{
            x = Cast <to=1> (image)
            a0 = Conv <pads=[1,1,1,1]> (x, w0)
            a = Relu (a0)
            b0 = Conv <pads=[1,1,1,1]> (a, w1)
            m = Add (b0, a)
            t0 = Reshape (m, rows)
            t = Transpose <perm=[0,2,1]> (t0)
            q = MatMul (t, p0)
            k = Transpose <perm=[0,2,1]> (q)
            s0 = MatMul (q, k)
            s = Softmax <axis=-1> (s0)
            v = MatMul (s, t)
            o0 = MatMul (v, p1)
            o = Add (o0, t)
            u0 = Transpose <perm=[0,2,1]> (o)
            u = Reshape (u0, sides)
            j = Concat <axis=1> (u, m)
            c0 = Conv <pads=[1,1,1,1]> (j, w2)
            c = Relu (c0)
            depth = Conv <pads=[1,1,1,1]> (c, w3)
        }}""",
        w0=noise(8, 3, 3, 3, seed=1) / 100, w1=noise(8, 8, 3, 3, seed=2) / 9,
        p0=noise(8, 8, seed=3) / 9, p1=noise(8, 8, seed=4) / 3,
        w2=noise(8, 16, 3, 3, seed=5) / 12, w3=noise(1, 8, 3, 3, seed=6) / 9,
        rows=np.array([1, 8, _SIDE * _SIDE]), sides=np.array([1, 8, _SIDE, _SIDE]),
    )  # fmt: skip
    for node in model.graph.node:
        node.name = f"{node.output[0]}/{node.op_type}"
    return model


def material() -> Material:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, _SIDE, _SIDE), np.uint8)
    return Material(hybrid(), (0.0,), [Sample(p, str(i)) for i, p in enumerate(pixels)])


def test_tokens_are_no_part_of_a_chain() -> None:
    found = {name.partition("/")[0] for name in convolution_chains(hybrid().graph)}
    # Tokens are made of m, and j joins them.
    assert found == {"a0", "a", "b0", "c0", "c", "depth"}


def test_a_network_is_hybrid_where_attention_stands_among_convolutions() -> None:
    assert is_hybrid(hybrid().graph)
    graph = hybrid().graph
    for node in graph.node:  # as in a ViT, where one convolution cuts the patches
        if node.output[0] in ("t0", "j"):
            node.input[list(node.input).index("m")] = "a"
    assert not is_hybrid(graph)


@pytest.mark.parametrize(
    ("recipe", "products"),
    [(CHAINS, 0), (CHAINS_PRODUCTS, 2), (CHAINS_DYNAMIC, 2)],
    ids=lambda value: getattr(value, "name", None),
)
def test_softmax_and_its_neighbours_stay_float(recipe: object, products: int) -> None:
    model = apply(recipe, material()).model  # type: ignore[arg-type]
    makers = {name: node for node in model.graph.node for name in node.output}
    quantised = Counter(
        node.op_type
        for node in model.graph.node
        if any(makers[name].op_type == "DequantizeLinear" for name in node.input if name in makers)
        and node.op_type not in ("QuantizeLinear", "DequantizeLinear")
    )
    assert quantised["Softmax"] == 0
    assert quantised["Conv"] >= 3
    multiplied = quantised["MatMul"] + sum("Integer" in n.op_type for n in model.graph.node)
    assert multiplied >= products


def test_a_target_tries_chains_where_they_suit() -> None:
    recipes = target("x86-vnni").recipes(hybrid().graph)
    assert recipes == (
        CHAINS_DYNAMIC, CHAINS_PRODUCTS, CHAINS, PRODUCTS, DYNAMIC_SMOOTH, DYNAMIC
    )  # fmt: skip

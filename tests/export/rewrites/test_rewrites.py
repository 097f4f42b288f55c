"""Each rewrite on the smallest graph that shows it: what it matches, what it leaves, what it costs.

Graphs are written as text, so that a test reads like the docstring of the pass it is for.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from depthrt_export.rewrites.attention_written_out import write_out_attention
from depthrt_export.rewrites.rewrite import rewrite
from helpers.models.rewritten import check, noise, parse, run

ATTENTION_LINE = "attention -> MultiHeadAttention: 1"


def attention(
    *,
    key: str = "plain",
    logits: str = "logits = Identity (scores)",
    batch: str = "B",
    **constants: NDArray[np.generic],
) -> onnx.ModelProto:
    """Two heads of size 4 over 6 tokens; ``logits`` makes the softmax's input of ``scores``."""
    keys = {
        "plain": """k = Transpose <perm = [0, 2, 1, 3]> (ks)
            kt = Transpose <perm = [0, 1, 3, 2]> (k)""",
        "at_once": "kt = Transpose <perm = [0, 2, 3, 1]> (ks)",
        "torch": """k = Transpose <perm = [0, 2, 1, 3]> (ks)
            k3 = Reshape (k, flat)
            k3t = Transpose <perm = [0, 2, 1]> (k3)
            kt = Reshape (k3t, part)""",
    }
    text = f"""g (float[{batch}, 6, 8] x) => (float[{batch}, 6, 8] y) {{
        qp = MatMul (x, wq)
        kp = MatMul (x, wk)
        vp = MatMul (x, wv)
        qs = Reshape (qp, split)
        q = Transpose <perm = [0, 2, 1, 3]> (qs)
        ks = Reshape (kp, split)
        {keys[key]}
        vs = Reshape (vp, split)
        v = Transpose <perm = [0, 2, 1, 3]> (vs)
        qscaled = Mul (q, root)
        kscaled = Mul (kt, root)
        scores = MatMul (qscaled, kscaled)
        {logits}
        p = Softmax <axis = -1> (logits)
        o = MatMul (p, v)
        t = Transpose <perm = [0, 2, 1, 3]> (o)
        y = Reshape (t, join)
    }}"""
    shapes = {"split": [0, 6, 2, 4], "flat": [-1, 6, 4], "part": [-1, 2, 4, 6], "join": [0, 6, 8]}
    return parse(
        text,
        **{name: noise(8, 8, seed=i) for i, name in enumerate(("wq", "wk", "wv"))},
        **{name: np.array(shape, np.int64) for name, shape in shapes.items()},
        root=np.array(0.7, np.float32),
        **constants,
    )


@pytest.mark.parametrize("key", ["plain", "at_once", "torch"])
@pytest.mark.parametrize("batch", ["1", "B"])
def test_attention_is_fused_however_the_key_is_transposed(key: str, batch: str) -> None:
    nodes, lines = check(attention(key=key, batch=batch), noise(1 if batch == "1" else 3, 6, 8))
    assert ATTENTION_LINE in lines
    assert nodes == {"MatMul": 3, "MultiHeadAttention": 1}


@pytest.mark.parametrize("shape", [(1, 2, 6, 6), (1, 1, 6, 6)])
def test_an_attention_bias_is_kept(shape: tuple[int, ...]) -> None:
    model = attention(logits="logits = Add (scores, bias)", bias=noise(*shape))
    nodes, lines = check(model, noise(2, 6, 8))
    assert ATTENTION_LINE in lines
    assert nodes == {"MatMul": 3, "MultiHeadAttention": 1}


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("shape", [None, (1, 2, 6, 6), (1, 1, 6, 6)])
def test_fused_attention_is_written_out_again(batch: int, shape: tuple[int, ...] | None) -> None:
    logits = "Add (scores, bias)" if shape else "Identity (scores)"
    constants = {"bias": noise(*shape)} if shape else {}
    model = attention(logits=f"logits = {logits}", **constants)
    fused, lines = rewrite(model)
    assert ATTENTION_LINE in lines
    before = fused.SerializeToString()
    written = write_out_attention(fused)
    assert fused.SerializeToString() == before
    onnx.checker.check_model(written)
    nodes = Counter(node.op_type for node in written.graph.node)
    assert (nodes["MultiHeadAttention"], nodes["Softmax"], nodes["MatMul"]) == (0, 1, 5)
    x = noise(batch, 6, 8)
    np.testing.assert_allclose(run(written, x), run(model, x), rtol=1e-4, atol=1e-5)


def test_without_attention_there_is_nothing_to_write_out() -> None:
    model = parse("g (float[4] x) => (float[4] y) { y = Relu (x) }")
    assert write_out_attention(model) is model


@pytest.mark.parametrize("shape", [(6, 6), (1, 2, 1, 6), (6, 1)])
def test_a_bias_that_the_operator_does_not_broadcast_leaves_attention_alone(
    shape: tuple[int, ...],
) -> None:
    model = attention(logits="logits = Add (scores, bias)", bias=noise(*shape))
    nodes, _ = check(model, noise(2, 6, 8))
    assert nodes["Softmax"] == 1
    assert not nodes["MultiHeadAttention"]


def test_scores_scaled_by_head_leave_attention_alone() -> None:
    scale = np.array([0.5, 2], np.float32).reshape(1, 2, 1, 1)
    nodes, _ = check(attention(logits="logits = Mul (scores, heads)", heads=scale), noise(2, 6, 8))
    assert nodes["Softmax"] == 1
    assert not nodes["MultiHeadAttention"]


def test_a_mask_that_masks_nothing_goes() -> None:
    mask = """shape = Shape (scores)
        every = Expand (true, shape)
        mask = Where (every, zero, forbidden)
        logits = Add (scores, mask)"""
    model = attention(
        logits=mask,
        true=np.ones((1, 1, 1, 1), bool),
        zero=np.array(0, np.float32),
        forbidden=np.array(-np.inf, np.float32),
    )
    nodes, lines = check(model, noise(2, 6, 8))
    assert "attention mask of zeros removed: 1" in lines
    assert nodes == {"MatMul": 3, "MultiHeadAttention": 1}


def test_a_mask_that_masks_something_stays() -> None:
    allowed = np.ones((1, 1, 6, 6), bool)
    allowed[..., 4:] = False
    model = attention(
        logits="mask = Where (allowed, zero, forbidden)\n logits = Add (scores, mask)",
        allowed=allowed,
        zero=np.array(0, np.float32),
        forbidden=np.array(-3e38, np.float32),
    )
    _, lines = check(model, noise(2, 6, 8))
    assert not any(line.startswith("attention mask") for line in lines)


def guarded(mask: float) -> onnx.ModelProto:
    """Softmax of a masked row behind the guard against rows without any key."""
    bias = np.zeros((1, 6), np.float32)
    bias[0, 2] = mask
    return parse(
        """g (float[N, 6] x) => (float[N, 6] y) {
            logits = Add (x, bias)
            s = Softmax <axis = -1> (logits)
            nan = IsNaN (s)
            y = Where (nan, zero, s)
        }""",
        bias=bias,
        zero=np.array(0, np.float32),
    )


def test_the_nan_guard_goes_where_no_constant_is_infinite() -> None:
    nodes, lines = check(guarded(-1e4), noise(3, 6))
    assert lines[0] == "NaN guard behind softmax removed: 1"
    assert nodes == {"Add": 1, "Softmax": 1}


def test_the_nan_guard_stays_where_a_mask_is_infinite() -> None:
    nodes, lines = check(guarded(-np.inf), noise(3, 6))
    assert not lines
    assert nodes["IsNaN"] == 1


def scaled_linear(output: str = "y = Mul (a, g)") -> str:
    return f"""g (float[N, 5, 4] x) => (float[N, 5, 3] y) {{
        m = MatMul (x, w)
        a = Add (b, m)
        {output}
    }}"""


def test_layer_scale_is_folded_into_weights_and_bias() -> None:
    constants = {"w": noise(4, 3), "b": noise(3, seed=1), "g": noise(3, seed=2)}
    nodes, lines = check(parse(scaled_linear(), **constants), noise(2, 5, 4))
    assert "LayerScale folded into the linear layer: 1" in lines
    assert nodes == {"MatMul": 1, "Add": 1}


def test_layer_scale_stays_where_the_unscaled_values_are_read_too() -> None:
    text = scaled_linear("s = Mul (a, g)\n y = Add (s, a)")
    constants = {"w": noise(4, 3), "b": noise(3, seed=1), "g": noise(3, seed=2)}
    nodes, lines = check(parse(text, **constants), noise(2, 5, 4))
    assert not lines
    assert nodes["Mul"] == 1


def test_a_gain_that_adds_an_axis_stays() -> None:
    text = """g (float[2, 3] x) => (float[1, 2, 3] y) {
        a = MatMul (x, w)
        y = Mul (a, g)
    }"""
    nodes, lines = check(parse(text, w=noise(3, 3), g=noise(1, 1, 3)), noise(2, 3))
    assert not lines
    assert nodes == {"MatMul": 1, "Mul": 1}


def test_shared_weights_are_not_scaled_for_the_others() -> None:
    text = """g (float[N, 3] x) => (float[N, 3] y) {
        first = MatMul (x, w)
        scaled = Mul (first, g)
        y = MatMul (scaled, w)
    }"""
    nodes, _ = check(parse(text, w=noise(3, 3), g=noise(3, seed=1)), noise(2, 3))
    assert nodes == {"MatMul": 2}


def upsampled(
    resize: str, *, kernel: int = 1, channels: int = 2, size: int = 12
) -> onnx.ModelProto:
    pad = kernel // 2
    return parse(
        f"""g (float[N, 4, 6, 6] x) => (float[N, {channels}, {size}, {size}] y) {{
            r = Resize <{resize}> (x, , , sizes)
            y = Conv <pads = [{pad}, {pad}, {pad}, {pad}]> (r, w, b)
        }}""",
        sizes=np.array([1, 4, size, size], np.int64),
        w=noise(channels, 4, kernel, kernel),
        b=noise(channels, seed=1),
    )


MOVED = "1x1 convolution moved before upsampling: 1"


@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("place", ["align_corners", "half_pixel", "asymmetric"])
@pytest.mark.parametrize("channels", [2, 4])
def test_a_pointwise_convolution_moves_before_upsampling(
    mode: str, place: str, channels: int
) -> None:
    attributes = f'mode = "{mode}", coordinate_transformation_mode = "{place}"'
    model = upsampled(attributes, channels=channels)
    nodes, lines = check(model, noise(1, 4, 6, 6))
    assert MOVED in lines
    rewritten, _ = rewrite(model)
    assert [node.op_type for node in rewritten.graph.node] == ["Conv", "Resize"]
    assert nodes == {"Conv": 1, "Resize": 1}


@pytest.mark.parametrize(
    "model",
    [
        upsampled('mode = "linear"', size=3),
        upsampled('mode = "linear"', kernel=3),
        upsampled('mode = "linear"', channels=5),
    ],
    ids=["downsampling", "3x3", "more channels"],
)
def test_other_convolutions_stay_behind_the_resize(model: onnx.ModelProto) -> None:
    _, lines = check(model, noise(1, 4, 6, 6))
    assert MOVED not in lines


def test_nothing_to_do_gives_the_same_model() -> None:
    model = parse(
        """g (float[N, 3, 8, 8] x) => (float[N, 2, 8, 8] y) {
            c = Conv <pads = [1, 1, 1, 1]> (x, w)
            y = Relu (c)
        }""",
        w=noise(2, 3, 3, 3),
    )
    rewritten, lines = rewrite(model)
    assert rewritten is model
    assert lines == []

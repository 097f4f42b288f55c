"""Attention of torch and transformers: its guards are removed, then one operator computes it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from depthrt_export.graph.nodes import (
    Dim,
    constant,
    dims,
    everywhere,
    integer,
    ints,
    made_by,
    only_user,
    replace,
    rewire,
    same,
    same_shape,
    scalar,
    uniform,
)

# What moves or combines numbers without making an infinite one of finite ones (overflow aside).
TRANSPARENT = (
    *("Add", "Sub", "Mul", "Where", "Expand", "Reshape", "Transpose", "Concat", "Slice"),
    *("Gather", "Unsqueeze", "Squeeze", "Cast", "Identity", "Split", "Tile", "Resize"),
)


def drop_unreachable_nan_guard(model: ir.Model) -> int:
    """IsNaN and Where behind Softmax removed.

    Matches ``Where(IsNaN(s), 0, s)`` with ``s = Softmax(logits)``, which
    ``scaled_dot_product_attention`` is exported as, for the sake of masks that forbid every key.

    Exact because Softmax subtracts the row's maximum: of finite logits it gives exponentials of
    numbers <= 0, at least one of them e^0 = 1, so neither overflow nor 0/0 can occur. Removed only
    where no infinite constant (a mask's -inf) takes part in the logits. Logits that are not finite
    by themselves mean that the network has overflowed: there the guard would turn the damage into
    plausible zeros, and without it the non-finite output is seen.
    """
    count = 0
    for node in list(model.graph):
        softmax = _guarded_softmax(node)
        if softmax is not None and _no_infinite_constant(softmax.inputs[0]):
            rewire(node.outputs[0], softmax.outputs[0])
            count += 1
    return count


def _guarded_softmax(node: ir.Node) -> ir.Node | None:
    if node.op_type != "Where" or uniform(node.inputs[1]) != 0:
        return None
    guard, softmax = made_by(node.inputs[0], "IsNaN"), made_by(node.inputs[2], "Softmax")
    return softmax if guard is not None and guard.inputs[0] is node.inputs[2] else None


def _no_infinite_constant(value: ir.Value | None) -> bool:
    """Whether all constants that the value is put together from are finite."""
    waiting, seen = [value], set[ir.Value | None]()
    while waiting:
        current = waiting.pop()
        if current is None or current in seen:
            continue
        seen.add(current)
        content = constant(current)
        if content is not None:
            if content.dtype.kind == "f" and not np.isfinite(content).all():
                return False
        elif (node := made_by(current, *TRANSPARENT)) is not None:
            waiting.extend(node.inputs)
    return True


def drop_neutral_masks(model: ir.Model) -> int:
    """Additions of zero to attention's logits removed.

    Matches ``Add(scores, mask)`` under a Softmax where the mask is zero everywhere: a constant, or
    ``Where(condition, zero, other)`` with a condition that is true everywhere, seen through Expand.
    transformers builds such a mask for encoders that attend to everything; for 518x518 it costs a
    pass over 1370x1370 numbers for each head and layer.

    Exact because x + 0 = x in floating point (-0 + 0 = 0, which Softmax does not tell apart). The
    sum must have the shape of the scores, so that nothing was broadcast.
    """
    count = 0
    for node in list(model.graph):
        logits = made_by(node.inputs[0], "Add") if node.op_type == "Softmax" else None
        if logits is None:
            continue
        for scores, mask in (logits.inputs, reversed(logits.inputs)):
            total = logits.outputs[0]
            if scores is not None and everywhere(mask) == 0 and same_shape(scores, total, 4):
                rewire(total, scores)
                count += 1
                break
    return count


MICROSOFT_DOMAIN = "com.microsoft"
SPLIT_HEADS = (0, 2, 1, 3)  # B,S,H,D -> B,H,S,D, and back


@dataclass(frozen=True)
class _Heads:
    """The value B,S,H*D that one B,H,S,D was split off."""

    packed: ir.Value
    batch: Dim
    length: Dim
    count: int
    depth: int


def fuse_attention(model: ir.Model) -> int:
    """Attention to MultiHeadAttention.

    Matches what ``torch.onnx.export(dynamo=True)`` writes for ``scaled_dot_product_attention`` and
    for transformers' eager attention::

        softmax(scale * Q K^T + bias) V

    with Q, K, V as B,H,S,D split off B,S,H*D by Reshape and Transpose, the scale a scalar anywhere
    on Q, K or their product, the result transposed and reshaped back to B,S,H*D, and an optional
    bias of shape (1 or B),(1 or H),S,T, such as BEiT's relative position bias. The batch may be
    symbolic. Attention whose queries pass through something else on the way (Swin v2's cosine
    attention), or whose bias has another shape, is left alone.

    Exact because MultiHeadAttention is defined as the same formula on the same B,S,H*D tensors
    (onnxruntime ContribOperators.md); only the order of float additions differs. Faster because
    onnxruntime's kernel works through blocks of keys that stay in the cache (flash attention, Dao
    et al. 2022) where there is no bias, and writes no transposed copies where there is one.
    """
    count = 0
    for node in list(model.graph):
        count += node.op_type == "MatMul" and _fuse(model.graph, node)
    if count:
        model.opset_imports.setdefault(MICROSOFT_DOMAIN, 1)
    return count


def _fuse(graph: ir.Graph, context: ir.Node) -> bool:
    """Fuse the attention whose weighted sum of values is this MatMul, if it is one."""
    softmax = made_by(context.inputs[0], "Softmax")
    values = _split(context.inputs[1], SPLIT_HEADS)
    if softmax is None or values is None or integer(softmax, "axis", -1) not in (-1, 3):
        return False
    scores, bias = _without_bias(softmax.inputs[0])
    product, scale = _without_scale(scores)
    matmul = made_by(product, "MatMul")
    if matmul is None:
        return False
    query, query_scale = _without_scale(matmul.inputs[0])
    keys, key_scale = _split_transposed(matmul.inputs[1])
    queries = _split(query, SPLIT_HEADS)
    merged = _merged(context.outputs[0], values)
    if queries is None or keys is None or merged is None or not _agree(queries, keys, values):
        return False
    if bias is not None and not _bias_fits(bias, queries, keys):
        return False
    fused = ir.node(
        "MultiHeadAttention",
        [queries.packed, keys.packed, values.packed, None, None, bias][: 3 if bias is None else 6],
        {"num_heads": queries.count, "scale": scale * query_scale * key_scale},
        domain=MICROSOFT_DOMAIN,
        name=f"{merged.name}_attention",
    )
    replace(graph, merged, [fused])
    return True


def _split(value: ir.Value | None, perm: tuple[int, ...]) -> _Heads | None:
    """The B,S,H*D that Reshape and Transpose turned into this value."""
    transpose = made_by(value, "Transpose")
    if transpose is None or ints(transpose, "perm") != perm:
        return None
    reshape = made_by(transpose.inputs[0], "Reshape")
    if reshape is None:
        return None
    packed, split = dims(reshape.inputs[0], 3), dims(reshape.outputs[0], 4)
    if packed is None or split is None or not same(packed[1], split[1]):
        return None
    heads, depth = split[2:]
    if not isinstance(heads, int) or not isinstance(depth, int) or packed[2] != heads * depth:
        return None
    source = reshape.inputs[0]
    return _Heads(source, split[0], split[1], heads, depth) if source is not None else None


def _merged(context: ir.Value, values: _Heads) -> ir.Value | None:
    """The B,S,H*D that the heads' results B,H,S,D are put together to, and are used for only."""
    transpose = only_user(context, "Transpose")
    if transpose is None or ints(transpose, "perm") != SPLIT_HEADS:
        return None
    reshape = only_user(transpose.outputs[0], "Reshape")
    split = dims(transpose.outputs[0], 4)
    if reshape is None or split is None:
        return None
    merged = dims(reshape.outputs[0], 3)
    width = values.count * values.depth
    fits = merged is not None and same(merged[1], split[1]) and merged[2] == width
    return reshape.outputs[0] if fits else None


def _without_bias(logits: ir.Value | None) -> tuple[ir.Value | None, ir.Value | None]:
    """Scores and what is added to them; the scores are the side that is a scaled product."""
    add = made_by(logits, "Add")
    if add is None:
        return logits, None
    for scores, bias in (add.inputs, reversed(add.inputs)):
        if made_by(_without_scale(scores)[0], "MatMul") is not None:
            return scores, bias
    return logits, None


def _without_scale(value: ir.Value | None) -> tuple[ir.Value | None, float]:
    """Peel off multiplications and divisions by one number."""
    scale = 1.0
    while (node := made_by(value, "Mul", "Div")) is not None:
        left, right = node.inputs
        factor = scalar(right)
        if factor is None and node.op_type == "Mul":
            left, factor = right, scalar(left)
        if factor is None or factor == 0 or not math.isfinite(factor):
            break
        value, scale = left, scale * (factor if node.op_type == "Mul" else 1 / factor)
    return value, scale


def _split_transposed(value: ir.Value | None) -> tuple[_Heads | None, float]:
    """From K^T, B,H,D,T, to the B,T,H*D that it was split off, and the scale on the way."""
    value, scale = _without_scale(value)
    at_once = _split(value, (0, 2, 3, 1))
    if at_once is not None:
        return at_once, scale
    key, more = _without_scale(_transposed(value))
    return _split(key, SPLIT_HEADS), scale * more


def _transposed(value: ir.Value | None) -> ir.Value | None:
    """The K, B,H,T,D, of which this is the transposed B,H,D,T.

    torch transposes it in place, or as B*H,T,D between two Reshapes.
    """
    transpose = made_by(value, "Transpose")
    if transpose is not None:
        return transpose.inputs[0] if ints(transpose, "perm") == (0, 1, 3, 2) else None
    split = made_by(value, "Reshape")
    transpose = made_by(split.inputs[0], "Transpose") if split else None
    merge = made_by(transpose.inputs[0], "Reshape") if transpose else None
    if transpose is None or merge is None or ints(transpose, "perm") != (0, 2, 1):
        return None
    key = merge.inputs[0]
    before, between, after = dims(key, 4), dims(merge.outputs[0], 3), dims(value, 4)
    if before is None or between is None or after is None:
        return None
    merged = same(before[2], between[1]) and same(before[3], between[2])
    parted = same(after[2], between[2]) and same(after[3], between[1])
    return key if merged and parted and same(before[1], after[1]) else None


def _agree(queries: _Heads, keys: _Heads, values: _Heads) -> bool:
    """Whether heads, head size, lengths and batch are those that the operator wants."""
    heads = queries.count == keys.count == values.count and queries.depth == keys.depth
    batch = same(queries.batch, keys.batch) and same(keys.batch, values.batch)
    return heads and batch and same(keys.length, values.length)


def _bias_fits(bias: ir.Value, queries: _Heads, keys: _Heads) -> bool:
    """Whether the bias is (1 or B),(1 or H),S,T, which is what the operator broadcasts."""
    shape = dims(bias, 4)
    if shape is None:
        return False
    batch = shape[0] == 1 or same(shape[0], queries.batch)
    heads = shape[1] in (1, queries.count)
    return batch and heads and same(shape[2], queries.length) and same(shape[3], keys.length)

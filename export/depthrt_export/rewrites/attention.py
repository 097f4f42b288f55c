"""Attention of torch and transformers, computed by one operator."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from depthrt_export.graph.nodes import (
    Dim,
    dims,
    integer,
    ints,
    made_by,
    new_constant,
    only_user,
    replace,
    same,
    scalar,
)

MICROSOFT_DOMAIN = "com.microsoft"
SPLIT_HEADS = (0, 2, 1, 3)  # B,S,H,D -> B,H,S,D, and back


@dataclass(frozen=True)
class _Heads:
    """The value B,S,H*D that one B,H,S,D was split off; ``batch``: all axes before S."""

    packed: ir.Value
    batch: tuple[Dim, ...]
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
    symbolic. More axes before S, such as the places within a patch (MobileViT), count as batch if
    their sizes are known and there is no bias. Attention whose queries pass through something else
    on the way (Swin v2's cosine attention), or whose bias has another shape, is left alone.

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
    values = _split(context.inputs[1], _swapped)
    last = len(values.batch) + 2 if values else 0
    if softmax is None or values is None or integer(softmax, "axis", -1) not in (-1, last):
        return False
    scores, bias = _without_bias(softmax.inputs[0])
    product, scale = _without_scale(scores)
    matmul = made_by(product, "MatMul")
    if matmul is None:
        return False
    query, query_scale = _without_scale(matmul.inputs[0])
    keys, key_scale = _split_transposed(matmul.inputs[1])
    queries = _split(query, _swapped)
    merged = _merged(context.outputs[0], values)
    if queries is None or keys is None or merged is None or not _agree(queries, keys, values):
        return False
    if bias is not None and not _bias_fits(bias, queries, keys):
        return False
    nodes, sources = [], [queries.packed, keys.packed, values.packed]
    if len(queries.batch) > 1:
        if bias is not None or not _sides_known(queries, keys):
            return False
        nodes = [_as_one_batch(graph, heads, name) for heads, name in
                 ((queries, f"{merged.name}_q"), (keys, f"{merged.name}_k"),
                  (values, f"{merged.name}_v"))]  # fmt: skip
        sources = [node.outputs[0] for node in nodes]
    fused = ir.node(
        "MultiHeadAttention",
        [*sources, None, None, bias][: 3 if bias is None else 6],
        {"num_heads": queries.count, "scale": scale * query_scale * key_scale},
        domain=MICROSOFT_DOMAIN,
        name=f"{merged.name}_attention",
    )
    nodes.append(fused)
    if len(queries.batch) > 1:
        shape = [-1, *queries.batch[1:], queries.length, values.count * values.depth]
        sides = new_constant(graph, f"{merged.name}_sides", np.array(shape))
        nodes.append(ir.node("Reshape", [fused.outputs[0], sides], name=f"{merged.name}_reshape"))
    replace(graph, merged, nodes)
    return True


def _sides_known(queries: _Heads, keys: _Heads) -> bool:
    """Whether only the first axis may be open."""
    return all(isinstance(d, int) for d in (*queries.batch[1:], queries.length, keys.length))


def _as_one_batch(graph: ir.Graph, heads: _Heads, name: str) -> ir.Node:
    shape = new_constant(
        graph, f"{name}_shape", np.array([-1, heads.length, heads.count * heads.depth])
    )
    return ir.node("Reshape", [heads.packed, shape], name=name)


def _swapped(rank: int) -> tuple[int, ...]:
    """..,S,H,D -> ..,H,S,D, and back."""
    return (*range(rank - 3), rank - 2, rank - 3, rank - 1)


def _split(value: ir.Value | None, perm: Callable[[int], tuple[int, ...]]) -> _Heads | None:
    """The B,S,H*D that Reshape and Transpose turned into this value."""
    transpose = made_by(value, "Transpose")
    reshape = made_by(transpose.inputs[0], "Reshape") if transpose is not None else None
    source = reshape.inputs[0] if reshape is not None else None
    if transpose is None or reshape is None or source is None or source.shape is None:
        return None
    rank = source.shape.rank() + 1
    packed, split = dims(source, rank - 1), dims(reshape.outputs[0], rank)
    if rank < 4 or ints(transpose, "perm") != perm(rank) or packed is None or split is None:
        return None
    heads, depth = split[-2:]
    if not all(same(a, b) for a, b in zip(packed[1:-1], split[1:-2], strict=True)):
        return None
    if not isinstance(heads, int) or not isinstance(depth, int) or packed[-1] != heads * depth:
        return None
    return _Heads(source, split[:-3], split[-3], heads, depth)


def _merged(context: ir.Value, values: _Heads) -> ir.Value | None:
    """The B,S,H*D that the heads' results B,H,S,D are put together to, and are used for only."""
    rank = len(values.batch) + 3
    transpose = only_user(context, "Transpose")
    if transpose is None or ints(transpose, "perm") != _swapped(rank):
        return None
    reshape = only_user(transpose.outputs[0], "Reshape")
    split = dims(transpose.outputs[0], rank)
    if reshape is None or split is None:
        return None
    merged = dims(reshape.outputs[0], rank - 1)
    width = values.count * values.depth
    fits = (
        merged is not None
        and merged[-1] == width
        and all(same(a, b) for a, b in zip(merged[1:-1], split[1:-2], strict=True))
    )
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
    at_once = _split(value, lambda rank: (*range(rank - 3), rank - 2, rank - 1, rank - 3))
    if at_once is not None:
        return at_once, scale
    key, more = _without_scale(_transposed(value))
    return _split(key, _swapped), scale * more


def _transposed(value: ir.Value | None) -> ir.Value | None:
    """The K, B,H,T,D, of which this is the transposed B,H,D,T.

    torch transposes it in place, or as B*H,T,D between two Reshapes.
    """
    transpose = made_by(value, "Transpose")
    if transpose is not None:
        perm = ints(transpose, "perm") or ()
        swaps = perm == (*range(len(perm) - 2), len(perm) - 1, len(perm) - 2)
        return transpose.inputs[0] if swaps and len(perm) >= 4 else None
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
    batches = {len(queries.batch), len(keys.batch), len(values.batch)}
    batch = len(batches) == 1 and all(
        same(q, k) and same(k, v)
        for q, k, v in zip(queries.batch, keys.batch, values.batch, strict=True)
    )
    return heads and batch and same(keys.length, values.length)


def _bias_fits(bias: ir.Value, queries: _Heads, keys: _Heads) -> bool:
    """Whether the bias is (1 or B),(1 or H),S,T, which is what the operator broadcasts."""
    shape = dims(bias, 4)
    if shape is None:
        return False
    batch = shape[0] == 1 or same(shape[0], queries.batch[0])
    heads = shape[1] in (1, queries.count)
    return batch and heads and same(shape[2], queries.length) and same(shape[3], keys.length)

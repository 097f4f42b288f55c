"""``com.microsoft.MultiHeadAttention`` becomes small operators again, for those who want them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import onnx_ir as ir

from depthrt_export.graph.nodes import new_constant, replace
from depthrt_export.rewrites.attention import MICROSOFT_DOMAIN, SPLIT_HEADS

_TRANSPOSED = (0, 2, 3, 1)  # B,T,H,D -> B,H,D,T
_BIAS = 5  # the input of the operator


def write_out_attention(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which what ``fuse_attention`` fused is written out; the model itself if nothing is.

    onnxruntime's OpenVINO provider leaves the operator to the CPU's: a transformer falls into as
    many pieces as it has layers, and everything between them is copied. Written out, OpenVINO finds
    attention by itself and computes all of it in its own layout and precision.

    Exact, as the same formula: softmax(scale * Q K^T + bias) V for each head.
    """
    if not any(_is_attention(node.domain, node.op_type) for node in model.graph.node):
        return model
    graph = ir.from_proto(model)
    for node in list(graph.graph):
        if _is_attention(node.domain, node.op_type):
            replace(graph.graph, node.outputs[0], _written_out(graph.graph, node))
            graph.graph.remove(node, safe=True)
    return ir.to_proto(graph)


def _is_attention(domain: str, op_type: str) -> bool:
    return (domain, op_type) == (MICROSOFT_DOMAIN, "MultiHeadAttention")


def _written_out(graph: ir.Graph, attention: ir.Node) -> list[ir.Node]:
    name = attention.name or str(attention.outputs[0].name)
    heads = attention.attributes["num_heads"].as_int()
    scale = np.array(attention.attributes["scale"].as_float(), np.float32)
    # 0 keeps a side as it is: batch and length may be symbolic.
    split = new_constant(graph, f"{name}_split", np.array([0, 0, heads, -1], np.int64))
    merge = new_constant(graph, f"{name}_merge", np.array([0, 0, -1], np.int64))
    factor = new_constant(graph, f"{name}_scale", scale)
    nodes: list[ir.Node] = []

    def add(
        op_type: str,
        *inputs: ir.Value | None,
        attributes: Mapping[str, int | tuple[int, ...]] | None = None,
    ) -> ir.Value:
        nodes.append(ir.node(op_type, inputs, attributes, name=f"{name}_{op_type}_{len(nodes)}"))
        return nodes[-1].outputs[0]

    def per_head(value: ir.Value | None, perm: tuple[int, ...]) -> ir.Value:
        return add("Transpose", add("Reshape", value, split), attributes={"perm": perm})

    query, key, value = attention.inputs[:3]
    product = add("MatMul", per_head(query, SPLIT_HEADS), per_head(key, _TRANSPOSED))
    scores = add("Mul", product, factor)
    if len(attention.inputs) > _BIAS:
        scores = add("Add", scores, attention.inputs[_BIAS])
    weights = add("Softmax", scores, attributes={"axis": -1})
    context = add("MatMul", weights, per_head(value, SPLIT_HEADS))
    add("Reshape", add("Transpose", context, attributes={"perm": SPLIT_HEADS}), merge)
    return nodes

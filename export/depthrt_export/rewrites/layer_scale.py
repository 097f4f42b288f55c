"""A per-channel factor behind a linear layer is folded into the layer's weights and bias."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from depthrt_export.rewrites.graph_edit import (
    Array,
    constant,
    made_by,
    new_constant,
    replace,
    used_once,
)


def fold_layer_scale(model: ir.Model) -> int:
    """LayerScale folded into the linear layer before it.

    Matches ``(x W + b) * g`` with constant W (K,N), b (N, or none) and g (N, or one number), as
    DINOv2's and BEiT's LayerScale (Touvron et al. 2021) and projections with a gain are exported,
    where nobody else reads the values in between.

    Exact because (x W + b) * g = x (W diag(g)) + b*g; only the rounding of the products differs.
    The new weights are computed in float64 and rounded once.
    """
    count = 0
    for node in list(model.graph):
        if node.op_type == "Mul" and not node.domain:
            count += any(_fold(model.graph, node, side) for side in (0, 1))
    return count


def _fold(graph: ir.Graph, mul: ir.Node, side: int) -> bool:
    linear, gain = mul.inputs[side], constant(mul.inputs[1 - side])
    if linear is None or gain is None or not used_once(linear):
        return False
    if linear.shape is None or mul.outputs[0].shape is None:
        return False
    if linear.shape.rank() != mul.outputs[0].shape.rank():  # the gain adds an axis
        return False
    product, bias = _linear(linear)
    weight = constant(product.inputs[1]) if product is not None else None
    if product is None or weight is None or weight.ndim != 2 or not _per_channel(gain, weight):
        return False
    name = mul.outputs[0].name
    scaled = new_constant(graph, f"{name}_weight", _times(weight, gain))
    nodes = [ir.node("MatMul", [product.inputs[0], scaled], name=f"{name}_matmul")]
    nodes[0].outputs[0].shape, nodes[0].outputs[0].type = linear.shape, linear.type
    if bias is not None:
        shift = new_constant(graph, f"{name}_bias", _times(bias, gain))
        nodes.append(ir.node("Add", [nodes[0].outputs[0], shift], name=f"{name}_add"))
    replace(graph, mul.outputs[0], nodes)
    return True


def _linear(value: ir.Value) -> tuple[ir.Node | None, Array | None]:
    """The MatMul, and the bias added to it, that compute a value."""
    add = made_by(value, "Add")
    if add is None:
        return made_by(value, "MatMul"), None
    for product, bias in (add.inputs, reversed(add.inputs)):
        content = constant(bias)
        if content is not None and content.ndim <= 1 and product is not None and used_once(product):
            return made_by(product, "MatMul"), content
    return None, None


def _per_channel(gain: Array, weight: Array) -> bool:
    """Whether the gain is one number, or one for each column of the weight, of the same type."""
    fits = gain.size == 1 or gain.size == gain.shape[-1] == weight.shape[1]
    return fits and gain.dtype == weight.dtype


def _times(content: Array, gain: Array) -> Array:
    product = content.astype(np.float64) * gain.reshape(-1).astype(np.float64)
    return np.asarray(product.astype(content.dtype))

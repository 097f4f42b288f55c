"""Convolutions that follow each other with nothing in between become one."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from depthrt_export.graph.nodes import (
    Array,
    constant,
    integer,
    ints,
    made_by,
    new_constant,
    replace,
    text,
    used_once,
)


def compose_convolutions(model: ir.Model) -> int:
    """1x1 convolution computed by the convolution before it.

    Matches ``Conv1x1(Conv(x))`` with constant weights, both of one group, the second with stride 1
    and no padding, where nobody else reads the values in between and the composition takes no more
    multiplications than both: METER's separable convolutions (a full KxK, then 1x1), projections
    without an activation.

    Exact because each pixel is A (W * x + b) + c = (A W) * x + (A b + c), padding included: only
    the rounding of the products differs. The new weights are computed in float64 and rounded once.
    In int8 a range and a rounding go as well.
    """
    count = 0
    for node in list(model.graph):
        count += node.op_type == "Conv" and not node.domain and _compose(model.graph, node)
    return count


def _compose(graph: ir.Graph, second: ir.Node) -> bool:
    first = made_by(second.inputs[0], "Conv")
    if first is None or not used_once(first.outputs[0]) or not _is_pointwise(second):
        return False
    inner, outer = _weights(first), _weights(second)
    if inner is None or outer is None or integer(first, "group", 1) != 1:
        return False
    (weight, bias), (mix, shift) = inner, outer
    made, taken, *kernel = weight.shape
    outputs, area = len(mix), math.prod(kernel)
    if outputs * taken * area > made * taken * area + outputs * made:
        return False
    matrix = mix.reshape(outputs, made).astype(np.float64)
    name = second.outputs[0].name
    composed = (matrix @ weight.reshape(made, -1).astype(np.float64)).reshape(
        outputs, taken, *kernel
    )
    inputs = [first.inputs[0], new_constant(graph, f"{name}_weight", composed.astype(mix.dtype))]
    if bias is not None or shift is not None:
        total = np.zeros(outputs) if shift is None else shift.astype(np.float64)
        if bias is not None:
            total = total + matrix @ bias.astype(np.float64)
        inputs.append(new_constant(graph, f"{name}_bias", total.astype(mix.dtype)))
    node = ir.node("Conv", inputs, dict(first.attributes), name=second.name)
    node.metadata_props.update(second.metadata_props)
    replace(graph, second.outputs[0], [node])
    return True


def _is_pointwise(conv: ir.Node) -> bool:
    """Whether each output pixel is computed of the input pixel in its place alone."""
    weight = constant(conv.inputs[1])
    return (
        weight is not None
        and all(side == 1 for side in weight.shape[2:])
        and integer(conv, "group", 1) == 1
        and not any(ints(conv, "pads") or ())
        and text(conv, "auto_pad", "NOTSET") in ("NOTSET", "VALID")
        and all(stride == 1 for stride in ints(conv, "strides") or ())
    )


def _weights(conv: ir.Node) -> tuple[Array, Array | None] | None:
    """Weight and bias, None where they are not constants in floating point."""
    weight = constant(conv.inputs[1])
    biased = len(conv.inputs) > 2 and conv.inputs[2] is not None
    bias = constant(conv.inputs[2]) if biased else None
    if weight is None or weight.dtype not in (np.float32, np.float64) or (biased and bias is None):
        return None
    return weight, bias

"""Rewrites that make an exported graph faster without changing what it computes.

Each is a function of the model that changes it in place and returns how often it applied; its
docstring says what it matches and why it is exact. Those of attention have a file of their own.
What onnxruntime does by itself when it loads a file (fusing Conv with Relu, Gelu with its bias,
LayerNormalization with the skip connection) is left to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as common
from onnxscript import optimizer

from depthrt_export.graph.nodes import (
    Array,
    constant,
    dims,
    integer,
    ints,
    made_by,
    new_constant,
    replace,
    text,
    used_once,
)
from depthrt_export.rewrites.around_attention import (
    cut_patches_in_steps,
    drop_neutral_masks,
    drop_unreachable_nan_guard,
)
from depthrt_export.rewrites.attention import fuse_attention
from depthrt_export.rewrites.convolutions import compose_convolutions

# Larger results stay computed: onnxruntime folds them when it loads the file, which stays small.
LARGEST_FOLDED = 1 << 18  # elements


def fold_constants(model: ir.Model) -> int:
    """Constants folded.

    onnxscript's constant folding: a node of which all inputs are constants is replaced by what
    the ONNX reference evaluator gives for it. Exact up to that evaluator's rounding.
    """
    before = len(model.graph)
    optimizer.fold_constants(
        model, input_size_limit=LARGEST_FOLDED, output_size_limit=LARGEST_FOLDED
    )
    return before - len(model.graph)


def remove_unused(model: ir.Model) -> int:
    """Nodes without effect removed.

    onnx-ir's passes for Identity, common subexpressions, and nodes and initializers whose results
    nobody reads. Exact because no remaining computation changes.
    """
    before = len(model.graph)
    for step in (
        common.IdentityEliminationPass(),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
        common.RemoveUnusedOpsetsPass(),
    ):
        step(model)
    return before - len(model.graph)


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
            count += any(_fold_gain(model.graph, node, side) for side in (0, 1))
    return count


def _fold_gain(graph: ir.Graph, mul: ir.Node, side: int) -> bool:
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


# Every output pixel is a sum of input pixels whose weights sum to 1, up to and over the border.
INTERPOLATING = ("nearest", "linear", "cubic")


def move_pointwise_before_upsampling(model: ir.Model) -> int:
    """1x1 convolution moved before the upsampling.

    Matches ``Conv1x1(Resize(x))`` with stride 1 and no padding, an interpolating Resize (nearest,
    linear, cubic) that enlarges height and width, is read by nobody else and does not crop, and no
    more output than input channels (DPT's fusion blocks and heads).

    Exact because each pixel that Resize gives is sum_i(w_i x_i) with sum_i(w_i) = 1, and the
    convolution is the affine map A x + b of each pixel: A sum_i(w_i x_i) + b
    = sum_i(w_i (A x_i + b)). The convolution then sees 1/r^2 of the pixels, and the Resize no more
    channels than before.
    """
    count = 0
    for node in list(model.graph):
        count += node.op_type == "Conv" and _move_before(model.graph, node)
    return count


def _move_before(graph: ir.Graph, conv: ir.Node) -> bool:
    resize = made_by(conv.inputs[0], "Resize")
    weight = dims(conv.inputs[1], 4)
    if resize is None or weight is None or not used_once(resize.outputs[0]):
        return False
    if not (_is_pointwise(conv, weight) and _interpolates(resize) and _enlarges(resize)):
        return False
    source = dims(resize.inputs[0], 4)
    before, after = source[1] if source else None, weight[0]
    if source is None or not isinstance(before, int) or not isinstance(after, int):
        return False
    sizes = _sizes_input(graph, resize, before, after) if after <= before else None
    if sizes is None:
        return False
    name = conv.outputs[0].name
    first = ir.node(
        "Conv", [resize.inputs[0], *conv.inputs[1:]], dict(conv.attributes), name=f"{name}_conv"
    )
    first.outputs[0].shape = ir.Shape([source[0], after, *source[2:]])
    first.outputs[0].type = resize.outputs[0].type
    second = ir.node(
        "Resize", [first.outputs[0], *sizes], dict(resize.attributes), name=f"{name}_resize"
    )
    replace(graph, conv.outputs[0], [first, second])
    return True


def _is_pointwise(conv: ir.Node, weight: tuple[object, ...]) -> bool:
    padded = any(ints(conv, "pads") or ()) or text(conv, "auto_pad", "NOTSET").startswith("SAME")
    strided = any(stride != 1 for stride in ints(conv, "strides") or ())
    return weight[2:] == (1, 1) and not padded and not strided


def _interpolates(resize: ir.Node) -> bool:
    crops = text(resize, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize"
    known = text(resize, "mode", "nearest") in INTERPOLATING
    outside = integer(resize, "exclude_outside", 0)
    return known and not crops and not outside and "axes" not in resize.attributes


def _enlarges(resize: ir.Node) -> bool:
    """Whether height and width are known not to shrink, and one of them to grow."""
    before, after = dims(resize.inputs[0], 4), dims(resize.outputs[0], 4)
    scales = constant(resize.inputs[2]) if len(resize.inputs) > 2 else None
    if scales is not None and scales.size == 4:
        ratios = scales[2:].astype(np.float64)
    elif before is not None and after is not None:
        sides = [side for side in (*before[2:], *after[2:]) if isinstance(side, int)]
        if len(sides) != 4:
            return False
        ratios = np.array(sides[2:]) / np.array(sides[:2])
    else:
        return False
    return bool(np.all(ratios >= 1) and np.any(ratios > 1))


def _sizes_input(
    graph: ir.Graph, resize: ir.Node, before: int, after: int
) -> list[ir.Value | None] | None:
    """The inputs of Resize behind its first, for ``after`` channels in place of ``before``."""
    inputs = list(resize.inputs[1:])
    if len(inputs) < 3 or inputs[2] is None or after == before:
        return inputs
    sizes = constant(inputs[2])
    if sizes is None:
        return None
    changed = sizes.copy()
    changed[1] = after
    inputs[2] = new_constant(graph, f"{resize.outputs[0].name}_sizes", changed)
    return inputs


Pass: TypeAlias = Callable[[ir.Model], int]
# Title, operator that it looks for (none: whatever there is), pass.
PASSES: tuple[tuple[str, str, Pass], ...] = (
    ("nodes without effect removed", "", remove_unused),
    ("constants folded", "", fold_constants),
    ("NaN guard behind softmax removed", "Softmax", drop_unreachable_nan_guard),
    ("attention mask of zeros removed", "Softmax", drop_neutral_masks),
    ("attention -> MultiHeadAttention", "Softmax", fuse_attention),
    ("LayerScale folded into the linear layer", "MatMul", fold_layer_scale),
    ("1x1 convolution moved before upsampling", "Resize", move_pointwise_before_upsampling),
    ("1x1 convolution computed by the one before it", "Conv", compose_convolutions),
    ("patches cut in fast steps", "Transpose", cut_patches_in_steps),
)


def rewrite(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """Apply every pass whose operator is there, to a copy of the model.

    Returns:
        The rewritten model, and one line for each pass that applied, with its count. Where none
        did, the model that came in.
    """
    graph = ir.from_proto(model)
    common.ShapeInferencePass()(graph)  # the exporter leaves shapes out where the batch is symbolic
    lines = []
    for title, operator, apply in PASSES:
        looked_for = not operator or any(node.op_type == operator for node in graph.graph)
        count = apply(graph) if looked_for else 0
        lines += [f"{title}: {count}"] if count else []
    if not lines:
        return model, []
    remove_unused(graph)  # what the passes have left behind
    return ir.to_proto(graph), lines

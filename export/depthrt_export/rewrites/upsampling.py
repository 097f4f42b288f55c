"""A 1x1 convolution behind an upsampling is moved before it, where there are fewer pixels."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from depthrt_export.rewrites.graph_edit import (
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
        count += node.op_type == "Conv" and _move(model.graph, node)
    return count


def _move(graph: ir.Graph, conv: ir.Node) -> bool:
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

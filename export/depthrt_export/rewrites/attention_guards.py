"""What torch and transformers put around attention and what changes nothing: it is removed."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from depthrt_export.graph.nodes import (
    constant,
    everywhere,
    made_by,
    rewire,
    same_shape,
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

"""Attention masks that mask nothing are no longer added."""

from __future__ import annotations

import onnx_ir as ir

from depthrt_export.rewrites.graph_edit import dims, made_by, rewire, same, uniform


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
            if scores is not None and everywhere(mask) == 0 and _same_shape(scores, logits):
                rewire(logits.outputs[0], scores)
                count += 1
                break
    return count


def everywhere(value: ir.Value | None) -> float | None:
    """The one number that a value holds everywhere, whatever its shape, if there is a proof."""
    number = uniform(value)
    if number is not None:
        return number
    if (expand := made_by(value, "Expand", "Identity", "Unsqueeze", "Reshape")) is not None:
        return everywhere(expand.inputs[0])
    if (where := made_by(value, "Where")) is not None:
        condition, chosen, other = (everywhere(v) for v in where.inputs)
        if condition is None:
            return chosen if chosen == other else None
        return chosen if condition else other
    return None


def _same_shape(scores: ir.Value, logits: ir.Node) -> bool:
    before, after = dims(scores, 4), dims(logits.outputs[0], 4)
    if before is None or after is None:
        return False
    return all(same(a, b) for a, b in zip(before, after, strict=True))

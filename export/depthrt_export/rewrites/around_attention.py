"""What torch and transformers put around attention: guards, masks and patches.

Guards and masks that change nothing are removed. Patches of a map are cut into tokens and put back
in steps that onnxruntime has fast kernels for: it transposes fast where one axis moves, or where
runs of numbers stay together. Cutting a map N,C,H,W into the tokens of its patches moves both
sides' halves and the channels at once, number by number: 24x32 pixels of 64 channels took 0.24 ms
there and 0.28 ms back, in steps 0.04 ms each.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from depthrt_export.graph.nodes import (
    Dim,
    constant,
    dims,
    everywhere,
    ints,
    made_by,
    new_constant,
    only_user,
    replace,
    rewire,
    same_shape,
    uniform,
    used_once,
)

# What moves or combines numbers without making an infinite one of finite ones (overflow aside).
TRANSPARENT = (
    *("Add", "Sub", "Mul", "Where", "Expand", "Reshape", "Transpose", "Concat", "Slice"),
    *("Gather", "Unsqueeze", "Squeeze", "Cast", "Identity", "Split", "Tile", "Resize"),
)

# Of N,C,H/p,p,W/p,p: to tokens within each place of a patch, and to the places of each patch; and
# the same from N,p,p,C,H/p,W/p, which is how SpaceToDepth leaves them.
_TO_TOKENS = {(0, 3, 5, 2, 4, 1): (0, 1, 2, 4, 5, 3), (0, 2, 4, 3, 5, 1): (0, 4, 5, 1, 2, 3)}
_TO_MAP = ((0, 5, 3, 1, 4, 2), (0, 5, 1, 3, 2, 4))


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


def cut_patches_in_steps(model: ir.Model) -> int:
    """Patches cut by SpaceToDepth, put together by rows of channels.

    Matches the Transpose of a map reshaped to N,C,H/p,p,W/p,p that brings its channels last, and
    the one that brings such tokens back to a map (MobileViT's unfold and fold, Mehta and Rastegari
    2022; METER). All sides but the batch must be known.

    Exact because numbers are moved only.
    """
    count = 0
    for node in list(model.graph):
        if node.op_type == "Transpose" and not node.domain:
            perm = ints(node, "perm")
            if perm in _TO_TOKENS:
                count += _to_tokens(model.graph, node, _TO_TOKENS[perm])
            elif perm in _TO_MAP:
                count += _to_map(model.graph, node, perm)
    return count


def _to_tokens(graph: ir.Graph, transpose: ir.Node, perm: tuple[int, ...]) -> bool:
    reshape = made_by(transpose.inputs[0], "Reshape")
    if reshape is None or not used_once(reshape.outputs[0]):
        return False
    whole, cut = dims(reshape.inputs[0], 4), dims(reshape.outputs[0], 6)
    sides = () if whole is None or cut is None else _known(cut[1:])
    if whole is None or not sides:
        return False
    channels, rows, patch, columns, other = sides
    if patch != other or whole[1:] != (channels, rows * patch, columns * patch):
        return False
    name = transpose.outputs[0].name
    blocks = ir.node(
        "SpaceToDepth", [reshape.inputs[0]], {"blocksize": patch}, name=f"{name}_blocks"
    )
    shape = new_constant(
        graph, f"{name}_cut", np.array([-1, patch, patch, channels, rows, columns])
    )
    cut_up = ir.node("Reshape", [blocks.outputs[0], shape], name=f"{name}_reshape")
    moved = ir.node("Transpose", [cut_up.outputs[0]], {"perm": perm}, name=f"{name}_transpose")
    replace(graph, transpose.outputs[0], [blocks, cut_up, moved])
    return True


def _to_map(graph: ir.Graph, transpose: ir.Node, perm: tuple[int, ...]) -> bool:
    reshape = only_user(transpose.outputs[0], "Reshape")
    cut = dims(transpose.outputs[0], 6)
    whole = dims(reshape.outputs[0], 4) if reshape is not None else None
    known = () if cut is None else _known(cut[1:])
    if reshape is None or whole is None or not known:
        return False
    channels, rows, patch, columns, other = known
    if whole[1:] != (channels, rows * patch, columns * other):
        return False
    name = reshape.outputs[0].name
    # Height and width stay apart: behind one axis of both onnxruntime would move all at once again.
    sides = new_constant(graph, f"{name}_rows", np.array([-1, *whole[2:], channels]))
    together = (perm[0], *perm[2:], perm[1])
    rejoined = ir.node(
        "Transpose", [transpose.inputs[0]], {"perm": together}, name=f"{name}_rejoined"
    )
    last = ir.node("Reshape", [rejoined.outputs[0], sides], name=f"{name}_reshape")
    first = ir.node(
        "Transpose", [last.outputs[0]], {"perm": (0, 3, 1, 2)}, name=f"{name}_transpose"
    )
    replace(graph, reshape.outputs[0], [rejoined, last, first])
    return True


def _known(sides: tuple[Dim, ...]) -> tuple[int, ...]:
    """The sides, empty if any is a symbol."""
    numbers = tuple(side for side in sides if isinstance(side, int))
    return numbers if len(numbers) == len(sides) else ()

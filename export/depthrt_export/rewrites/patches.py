"""Patches of a map to tokens and back, in steps that onnxruntime has fast kernels for.

onnxruntime transposes fast where one axis moves, or where runs of numbers stay together. Cutting a
map N,C,H,W into the tokens of its patches moves both sides' halves and the channels at once, number
by number: 24x32 pixels of 64 channels took 0.24 ms there and 0.28 ms back, in steps 0.04 ms each.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from depthrt_export.graph.nodes import (
    Dim,
    dims,
    ints,
    made_by,
    new_constant,
    only_user,
    replace,
    used_once,
)

# Of N,C,H/p,p,W/p,p: to tokens within each place of a patch, and to the places of each patch; and
# the same from N,p,p,C,H/p,W/p, which is how SpaceToDepth leaves them.
_TO_TOKENS = {(0, 3, 5, 2, 4, 1): (0, 1, 2, 4, 5, 3), (0, 2, 4, 3, 5, 1): (0, 4, 5, 1, 2, 3)}
_TO_MAP = ((0, 5, 3, 1, 4, 2), (0, 5, 1, 3, 2, 4))


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

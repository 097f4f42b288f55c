"""The last nodes, of one channel, kept out of onnxruntime's blocks of 8 or 16 channels: exactly.

A depth map fills one channel of such a block, and the rest is computed for nothing. So

- it is resized behind ``Squeeze`` and ``Unsqueeze``, N,1,H,W seen as 1,N,H,W: 0.08 ms instead of
  0.3 for 192x320;
- a convolution k x k to one channel makes 4x4 pixels of depth at once, as 16 channels of a
  convolution of stride 4 whose kernel is the same one at 16 places, and DepthToSpace lays them out:
  a quarter to a third of the time;
- a convolution 1x1 of what was in int8 becomes a product, in the layout that int8 leaves.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

from depthrt_export.graph.prune import remove_unread

_ONES, _ZEROS = "tail_axis_1", "tail_axis_0"
_BLOCKS = (4, 2)


def lean_tail(model: onnx.ModelProto) -> list[str]:
    """Change what there is in place; the names of the nodes that were changed."""
    graph = model.graph
    inferred = shape_inference.infer_shapes(model).graph
    shapes = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in inferred.value_info
    }
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    changed = []
    for node in list(graph.node):
        shape = shapes.get(node.output[0], [])
        if len(shape) != 4 or shape[1] != 1:
            continue
        if node.op_type == "Resize" and _only_scales(node, constants):
            _resize_alone(graph, node)
        elif node.op_type == "Conv" and _is_plain(node, constants):
            if not _convolve(graph, node, constants, shape):
                continue
        else:
            continue
        changed.append(node.name)
    remove_unread(graph)
    return changed


def _resize_alone(graph: onnx.GraphProto, resize: onnx.NodeProto) -> None:
    for name, number in ((_ZEROS, 0), (_ONES, 1)):
        if all(i.name != name for i in graph.initializer):
            graph.initializer.append(numpy_helper.from_array(np.array([number], np.int64), name))
    source, result = resize.input[0], resize.output[0]
    flat, seen, large, back = (f"{resize.name}.{part}" for part in ("flat", "seen", "large", "map"))
    resize.input[0], resize.output[0] = seen, large
    place = list(graph.node).index(resize)
    for offset, kind, taken, axis, made in (
        (0, "Squeeze", source, _ONES, flat),
        (1, "Unsqueeze", flat, _ZEROS, seen),
        (3, "Squeeze", large, _ZEROS, back),
        (4, "Unsqueeze", back, _ONES, result),
    ):
        graph.node.insert(place + offset, helper.make_node(kind, [taken, axis], [made], made))


def _convolve(
    graph: onnx.GraphProto,
    conv: onnx.NodeProto,
    constants: dict[str, NDArray[np.float32]],
    shape: list[int],
) -> bool:
    """A 1x1 convolution behind int8 as a product, a larger one in blocks; whether it was either."""
    weight = constants[conv.input[1]]
    if weight.shape[2:] == (1, 1):
        source = next((n for n in graph.node if conv.input[0] in n.output), None)
        if source is None or source.op_type != "DequantizeLinear" or any(_pads(conv)):
            return False  # a product has no border to put padding on
        _as_product(graph, conv, constants)
        return True
    fitting = [b for b in _BLOCKS if all(side and side % b == 0 for side in shape[2:])]
    if not fitting:
        return False
    _in_blocks(graph, conv, constants, fitting[0])
    return True


def _as_product(
    graph: onnx.GraphProto, conv: onnx.NodeProto, constants: dict[str, NDArray[np.float32]]
) -> None:
    weight = constants[conv.input[1]]
    name = _constant(graph, f"{conv.name}.column", weight.reshape(1, -1).T)
    last, product, first = (f"{conv.name}.{part}" for part in ("last", "product", "first"))
    has_bias = len(conv.input) > 2 and conv.input[2]
    made = first if has_bias else conv.output[0]
    nodes = [
        helper.make_node("Transpose", [conv.input[0]], [last], last, perm=[0, 2, 3, 1]),
        helper.make_node("MatMul", [last, name], [product], conv.name),
        helper.make_node("Transpose", [product], [made], first, perm=[0, 3, 1, 2]),
    ]
    if has_bias:  # last: onnxruntime adds to N,H,W,1 in runs of one number, at 20 times the cost
        bias = _constant(graph, f"{conv.name}.bias", constants[conv.input[2]].reshape(()))
        nodes.append(helper.make_node("Add", [first, bias], [conv.output[0]], f"{conv.name}.sum"))
    place = list(graph.node).index(conv)
    graph.node.remove(conv)
    for offset, node in enumerate(nodes):
        graph.node.insert(place + offset, node)


def _in_blocks(
    graph: onnx.GraphProto,
    conv: onnx.NodeProto,
    constants: dict[str, NDArray[np.float32]],
    block: int,
) -> None:
    weight = constants[conv.input[1]]
    rows, columns = weight.shape[2:]
    sides = rows + block - 1, columns + block - 1
    values = np.zeros((block * block, weight.shape[1], *sides), np.float32)
    for y in range(block):
        for x in range(block):
            values[y * block + x, :, y : y + rows, x : x + columns] = weight[0]
    conv.input[1] = _constant(graph, f"{conv.name}.blocks", values)
    if len(conv.input) > 2 and conv.input[2]:
        bias = np.repeat(constants[conv.input[2]], block * block)
        conv.input[2] = _constant(graph, f"{conv.name}.blocks_bias", bias)
    pads = _pads(conv)
    del conv.attribute[:]
    for name, ints in (("kernel_shape", sides), ("strides", (block, block)), ("pads", pads)):
        conv.attribute.append(helper.make_attribute(name, list(ints)))
    blocks, result = f"{conv.name}.in_blocks", conv.output[0]
    conv.output[0] = blocks
    laid = helper.make_node("DepthToSpace", [blocks], [result], blocks, blocksize=block)
    graph.node.insert(list(graph.node).index(conv) + 1, laid)


def _pads(conv: onnx.NodeProto) -> list[int]:
    return next((list(a.ints) for a in conv.attribute if a.name == "pads"), [0, 0, 0, 0])


def _constant(graph: onnx.GraphProto, name: str, values: NDArray[np.float32]) -> str:
    graph.initializer.append(numpy_helper.from_array(values.copy(), name))
    return name


def _is_plain(conv: onnx.NodeProto, constants: dict[str, NDArray[np.float32]]) -> bool:
    """Float weights known, stride and dilation 1, one group."""
    said = {a.name: helper.get_attribute_value(a) for a in conv.attribute}
    return (
        all(name in constants for name in conv.input[1:] if name)
        and constants[conv.input[1]].ndim == 4
        and said.get("auto_pad", b"NOTSET") == b"NOTSET"
        and said.get("group", 1) == 1
        and said.get("strides", [1, 1]) == [1, 1]
        and said.get("dilations", [1, 1]) == [1, 1]
    )


def _only_scales(resize: onnx.NodeProto, constants: dict[str, NDArray[np.float32]]) -> bool:
    """Whether it enlarges height and width by constant factors, whatever the batch."""
    names = list(resize.input)
    if len(names) != 3 or names[1] or names[2] not in constants:
        return False
    scales = constants[names[2]].reshape(-1)
    return scales.size == 4 and bool((scales[:2] == 1).all())

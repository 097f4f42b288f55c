"""The first and last convolution of an int8 graph as onnxruntime runs them fastest; exact.

**The first** (the stem). onnxruntime gathers the inputs of an int8 convolution by pixels: three
bytes at a time, one for each channel. So the stem takes twice as long as in float32. A stem of
stride 2 reads whole blocks of 2x2 pixels. SpaceToDepth turns each block into one pixel of 12
channels: the same sums are then gathered 12 bytes or more at a time, in 0.4 of the time. Kernels
that begin or end inside a block are padded with zeros, which change no sum. SpaceToDepth runs in
float32, between DequantizeLinear and QuantizeLinear of the same scale, as onnxruntime 1.24 has it
for no other type.

**The last** (the head). onnxruntime computes 8 or 16 channels at once. A depth map fills one of
them; the others are computed for nothing. So

- a depth map is resized as 1,N,H,W in place of N,1,H,W: 0.08 ms in place of 0.3 ms for 192x320;
- a k x k convolution to one channel becomes one of stride 4 to 16 channels, which hold the same
  kernel at 16 places, and DepthToSpace puts the 4x4 pixels in their places: a quarter to a third of
  the time;
- a 1x1 convolution of an int8 tensor becomes a MatMul, in the layout that the int8 kernels leave.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

from depthrt_export.graph.nodes import remove_unread

_BLOCK = 2
_STEM = "image_blocks"


def lay_out_stem(graph: onnx.GraphProto) -> bool:
    """Change ``image -> DequantizeLinear -> Conv`` of stride 2 in place; whether there was one."""
    entry = [n for n in graph.node if "image" in n.input]
    height, width = (d.dim_value for d in graph.input[0].type.tensor_type.shape.dim[2:])
    if len(entry) != 1 or entry[0].op_type != "DequantizeLinear" or not height or not width:
        return False
    readers = [n for n in graph.node if entry[0].output[0] in n.input]
    if len(readers) != 1 or readers[0].op_type != "Conv" or height % _BLOCK or width % _BLOCK:
        return False
    conv = readers[0]
    weight = _quantised_weight(graph, conv)
    said = {a.name: helper.get_attribute_value(a) for a in conv.attribute}
    plain = said.get("auto_pad", b"NOTSET") == b"NOTSET" and said.get("group", 1) == 1
    even = said.get("strides") == [2, 2] and said.get("dilations", [1, 1]) == [1, 1]
    if weight is None or not (plain and even):
        return False
    return _use_blocks(graph, entry[0], conv, weight, said.get("pads", [0, 0, 0, 0]))


def _use_blocks(
    graph: onnx.GraphProto,
    entry: onnx.NodeProto,
    conv: onnx.NodeProto,
    weight: onnx.TensorProto,
    pads: list[int],
) -> bool:
    values, begins = in_blocks(numpy_helper.to_array(weight), (pads[0], pads[1]))
    sides = [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim[2:]]
    kernel = numpy_helper.to_array(weight).shape[2:]
    ends = []
    for i, side in enumerate(sides):
        made = (side + pads[i] + pads[i + 2] - kernel[i]) // 2 + 1
        ends.append(made - side // _BLOCK - begins[i] + values.shape[i + 2] - 1)
    if min(ends) < 0:  # blocks at the end that the convolution never reached
        return False
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    del conv.attribute[:]
    for name, ints in (
        ("kernel_shape", list(values.shape[2:])),
        ("strides", [1, 1]),
        ("pads", [*begins, *ends]),
    ):
        conv.attribute.append(helper.make_attribute(name, ints))
    whole, read = f"{_STEM}.uint8", f"{_STEM}.read"
    scale = list(entry.input[1:])
    nodes = [
        helper.make_node("SpaceToDepth", [entry.output[0]], [_STEM], _STEM, blocksize=_BLOCK),
        helper.make_node("QuantizeLinear", [_STEM, *scale], [whole], whole),
        helper.make_node("DequantizeLinear", [whole, *scale], [read], read),
    ]
    for offset, node in enumerate(nodes):
        graph.node.insert(list(graph.node).index(entry) + 1 + offset, node)
    conv.input[0] = read
    stale = {weight.name, *_users_of(graph, weight.name)}
    for info in [v for v in graph.value_info if v.name in stale]:
        graph.value_info.remove(info)
    return True


def in_blocks(
    weight: NDArray[np.int8], begins: tuple[int, int]
) -> tuple[NDArray[np.int8], tuple[int, int]]:
    """The kernel O,C,h,w of stride 2 over blocks: O,4C,h',w', and the padding before it, in blocks.

    Row k lies ``k - begin`` rows from the output's block: that many over 2 blocks, the rest in it.
    """
    outputs, channels, *kernel = weight.shape
    first = [-((begin + 1) // _BLOCK) for begin in begins]
    sides = [
        (k - 1 - begin) // _BLOCK - f + 1 for k, begin, f in zip(kernel, begins, first, strict=True)
    ]
    result = np.zeros((outputs, _BLOCK, _BLOCK, channels, *sides), weight.dtype)
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            y, x = row - begins[0], column - begins[1]
            place = y // _BLOCK - first[0], x // _BLOCK - first[1]
            result[:, y % _BLOCK, x % _BLOCK, :, place[0], place[1]] = weight[:, :, row, column]
    return result.reshape(outputs, -1, *sides), (-first[0], -first[1])


def _quantised_weight(graph: onnx.GraphProto, conv: onnx.NodeProto) -> onnx.TensorProto | None:
    """The int8 constant behind a convolution's weight, if only it reads that."""
    source = next((n for n in graph.node if conv.input[1] in n.output), None)
    if source is None or source.op_type != "DequantizeLinear":
        return None
    if sum(source.output[0] in n.input for n in graph.node) != 1:
        return None
    if sum(source.input[0] in n.input for n in graph.node) != 1:
        return None
    return next((i for i in graph.initializer if i.name == source.input[0]), None)


def _users_of(graph: onnx.GraphProto, name: str) -> list[str]:
    return [o for n in graph.node if name in n.input for o in n.output]


_ONES, _ZEROS = "tail_axis_1", "tail_axis_0"
_HEAD_BLOCKS = (4, 2)


def lay_out_head(model: onnx.ModelProto) -> list[str]:
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
    fitting = [b for b in _HEAD_BLOCKS if all(side and side % b == 0 for side in shape[2:])]
    if not fitting:
        return False
    _in_blocks(graph, conv, constants, fitting[0])
    return True


def _as_product(
    graph: onnx.GraphProto, conv: onnx.NodeProto, constants: dict[str, NDArray[np.float32]]
) -> None:
    weight = constants[conv.input[1]]
    name = _new_constant(graph, f"{conv.name}.column", weight.reshape(1, -1).T)
    last, product, first = (f"{conv.name}.{part}" for part in ("last", "product", "first"))
    has_bias = len(conv.input) > 2 and conv.input[2]
    made = first if has_bias else conv.output[0]
    nodes = [
        helper.make_node("Transpose", [conv.input[0]], [last], last, perm=[0, 2, 3, 1]),
        helper.make_node("MatMul", [last, name], [product], conv.name),
        helper.make_node("Transpose", [product], [made], first, perm=[0, 3, 1, 2]),
    ]
    if has_bias:  # last: onnxruntime adds to N,H,W,1 in runs of one number, at 20 times the cost
        bias = _new_constant(graph, f"{conv.name}.bias", constants[conv.input[2]].reshape(()))
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
    conv.input[1] = _new_constant(graph, f"{conv.name}.blocks", values)
    if len(conv.input) > 2 and conv.input[2]:
        bias = np.repeat(constants[conv.input[2]], block * block)
        conv.input[2] = _new_constant(graph, f"{conv.name}.blocks_bias", bias)
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


def _new_constant(graph: onnx.GraphProto, name: str, values: NDArray[np.float32]) -> str:
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

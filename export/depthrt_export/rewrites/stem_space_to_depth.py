"""The first convolution of an int8 graph on blocks of 2x2 pixels, with the same numbers.

onnxruntime gathers the inputs of an int8 convolution pixel by pixel, three bytes at a time where
they are colours, and so the stem takes twice as long as in float32. A convolution of stride 2 reads
every block of 2x2 pixels whole: as one pixel of 12 channels (SpaceToDepth, ONNX operator 13) the
same sums are gathered in runs of 12 bytes and more, in 0.4 of the time. Kernels that begin or end
inside a block are filled up with zeros, which change no sum. The blocks are laid out in float32,
between DequantizeLinear and QuantizeLinear of the same scale: onnxruntime 1.24 has SpaceToDepth for
no other type.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

_BLOCK = 2
_NAME = "image_blocks"


def stem_on_blocks(graph: onnx.GraphProto) -> bool:
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
    return _rewrite(graph, entry[0], conv, weight, said.get("pads", [0, 0, 0, 0]))


def _rewrite(
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
    whole, read = f"{_NAME}.uint8", f"{_NAME}.read"
    scale = list(entry.input[1:])
    nodes = [
        helper.make_node("SpaceToDepth", [entry.output[0]], [_NAME], _NAME, blocksize=_BLOCK),
        helper.make_node("QuantizeLinear", [_NAME, *scale], [whole], whole),
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

"""Folds what is done to pixels, their channels' order and normalisation, into the first weights.

The graph of a network whose first channel is blue holds a ``Gather`` of the channels by the indices
:data:`BGR`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from depthrt_export.graph.nodes import remove_unread

BGR = "bgr_order"
"""The name of the indices 2, 1, 0."""
_ZERO, _GAIN = "pixel_zero", "pixel_gain"


def fold_channel_order(model: onnx.ModelProto) -> str:
    """Turn the first convolutions' weights in place, exactly; what was done, empty if nothing."""
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    turn = _turning(graph, weights)
    if turn is None:
        return ""
    readers = [node for node in graph.node if turn.output[0] in node.input]
    if not readers or not all(_has_own_weights(node, weights) for node in readers):
        return "channels turned to blue, green, red before the first layer"
    for conv in readers:
        weight = numpy_helper.to_array(weights[conv.input[1]])  # O,3,kh,kw
        name = f"{conv.name or conv.output[0]}.of_rgb"  # another may read the same weight
        turned = np.ascontiguousarray(weight[:, ::-1])
        graph.initializer.append(numpy_helper.from_array(turned, name))
        conv.input[0], conv.input[1] = turn.input[0], name
    graph.node.remove(turn)
    remove_unread(graph)
    return "the order of channels folded into the first convolution, exactly"


def _turning(graph: onnx.GraphProto, weights: dict[str, onnx.TensorProto]) -> onnx.NodeProto | None:
    """The node that turns the channels of pixels; an exporter may have renamed its indices."""
    value, pixels = "image", ("Cast", "Sub", "Mul", "Div")
    while True:
        readers = [node for node in graph.node if value in node.input]
        if len(readers) != 1:
            return None
        (node,) = readers
        if node.op_type == "Gather" and node.input[1] in weights:
            indices = numpy_helper.to_array(weights[node.input[1]]).tolist()
            return node if indices == [2, 1, 0] else None
        if node.op_type not in pixels:
            return None
        value = node.output[0]


def _has_own_weights(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> bool:
    group = next((a.i for a in node.attribute if a.name == "group"), 1)
    return node.op_type == "Conv" and group == 1 and node.input[1] in weights


@dataclass(frozen=True)
class FoldResult:
    """What was done, and the subtraction that is left: per channel, one number, or None."""

    note: str
    zero: tuple[float, ...] | None


def fold_normalisation(model: onnx.ModelProto) -> FoldResult:
    """Fold in place; the graph computes the same depth to float32 rounding."""
    graph = model.graph
    gain_node = _user_of(graph, _GAIN)
    zero_node = _user_of(graph, _ZERO)
    if gain_node is None or zero_node is None:
        return FoldResult("the exporter folded the normalisation by itself", None)
    zero, gain = _constant(graph, _ZERO), _constant(graph, _GAIN)
    readers = [n for n in graph.node if gain_node.output[0] in n.input]
    foldable = bool(readers) and all(_is_plain_conv(graph, conv) for conv in readers)
    if not foldable:
        kinds = ", ".join(sorted({n.op_type for n in readers}))
        _simplify_zero(graph, zero_node, zero)
        return FoldResult(f"normalised per channel before {kinds}; nothing to fold into", None)
    unpadded = all(not _pads(conv) for conv in readers)
    for conv in readers:
        _scale_weights(graph, conv, gain.reshape(3), zero.reshape(3) if unpadded else None)
    _bypass(graph, gain_node)
    if unpadded or not zero.any():
        _bypass(graph, zero_node)
        what = "scale and mean" if zero.any() else "scale"
        return FoldResult(f"{what} folded into the first convolution, exactly", (0.0,))
    left = _simplify_zero(graph, zero_node, zero)
    values = ", ".join(f"{value:g}" for value in left)
    return FoldResult(
        f"scale folded into the first convolution; {values} subtracted before its zero padding, "
        "exactly",
        left,
    )


def _is_plain_conv(graph: onnx.GraphProto, node: onnx.NodeProto) -> bool:
    group = next((a.i for a in node.attribute if a.name == "group"), 1)
    names = {i.name for i in graph.initializer}
    return node.op_type == "Conv" and group == 1 and all(name in names for name in node.input[1:])


def _pads(conv: onnx.NodeProto) -> bool:
    attributes = {a.name: a for a in conv.attribute}
    if "auto_pad" in attributes and attributes["auto_pad"].s not in (b"NOTSET", b"VALID"):
        return True
    return "pads" in attributes and any(attributes["pads"].ints)


def _scale_weights(
    graph: onnx.GraphProto,
    conv: onnx.NodeProto,
    gain: NDArray[np.float64],
    zero: NDArray[np.float64] | None,
) -> None:
    weight = _constant(graph, conv.input[1]) * gain[None, :, None, None]  # O,3,kh,kw
    name = f"{conv.name or conv.output[0]}.of_pixels"  # another may read the same weight otherwise
    conv.input[1] = _replace(graph, conv, 1, weight, name)
    if zero is None or not zero.any():
        return
    bias = (
        _constant(graph, conv.input[2])
        if len(conv.input) > 2 and conv.input[2]
        else np.zeros(weight.shape[0])
    )
    bias = bias - np.einsum("ocij,c->o", weight, zero)
    if len(conv.input) < 3:
        conv.input.append("")
    conv.input[2] = _replace(graph, conv, 2, bias, f"{name}.bias")


def _replace(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    index: int,
    value: NDArray[np.float64],
    name: str,
) -> str:
    """Add an initializer and drop the one it replaces if nothing else reads it."""
    old = node.input[index]
    graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
    if old and sum(list(n.input).count(old) for n in graph.node) == 1:
        _drop_initializer(graph, old)
    return name


def _simplify_zero(
    graph: onnx.GraphProto, node: onnx.NodeProto, zero: NDArray[np.float64]
) -> tuple[float, ...]:
    """One scalar where all channels subtract the same number."""
    values = tuple(float(v) for v in np.unique(zero))
    if len(values) > 1:
        return tuple(float(v) for v in zero.reshape(3))
    _drop_initializer(graph, _ZERO)
    graph.initializer.append(numpy_helper.from_array(np.float32(values[0]).reshape(()), _ZERO))
    return values


def _bypass(graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
    """Take out a node whose first input takes its place."""
    source, result = node.input[0], node.output[0]
    for reader in graph.node:
        for i, name in enumerate(reader.input):
            if name == result:
                reader.input[i] = source
    for name in node.input[1:]:
        _drop_initializer(graph, name)
    for info in [v for v in graph.value_info if v.name == result]:
        graph.value_info.remove(info)
    graph.node.remove(node)


def _user_of(graph: onnx.GraphProto, name: str) -> onnx.NodeProto | None:
    users = [node for node in graph.node if name in node.input]
    return users[0] if len(users) == 1 and users[0].op_type in ("Sub", "Mul") else None


def _constant(graph: onnx.GraphProto, name: str) -> NDArray[np.float64]:
    tensor = next(i for i in graph.initializer if i.name == name)
    return numpy_helper.to_array(tensor).astype(np.float64)


def _drop_initializer(graph: onnx.GraphProto, name: str) -> None:
    """Drop it with what is declared of its shape."""
    for tensor in [i for i in graph.initializer if i.name == name]:
        graph.initializer.remove(tensor)
    for info in [v for v in graph.value_info if v.name == name]:
        graph.value_info.remove(info)

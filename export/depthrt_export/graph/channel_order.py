"""Networks whose first channel is blue: the order of channels, turned in the weights.

The graph holds a ``Gather`` of the channels by the indices :data:`BGR` before the network.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from depthrt_export.graph.nodes import remove_unread

BGR = "bgr_order"
"""The name of the indices 2, 1, 0."""


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

"""int8 as OpenVINO runs it fastest, which lays graphs out itself.

What it has of its own: an activation runs inside the convolution before it, an int8 convolution can
give float, and maps of one range are joined without a computation.
"""

from __future__ import annotations

import onnx

from depthrt_calibration.ranges import Ranges
from depthrt_export.graph.nodes import remove_unread

_FUSED_ACTIVATIONS = (
    "Elu",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Mish",
    "Mul",
    "PRelu",
    "Sigmoid",
    "Softplus",
    "Tanh",
)


def share_joined(graph: onnx.GraphProto, ranges: Ranges) -> Ranges:
    """The ranges, but of maps that are joined the range of the whole."""
    shared = dict(ranges)
    for node in reversed(graph.node):  # what is joined again has the range of the last whole
        if node.op_type == "Concat" and node.output[0] in shared:
            shared.update({name: shared[node.output[0]] for name in node.input if name in shared})
    return shared


def free_activations(graph: onnx.GraphProto, head: tuple[str, ...]) -> None:
    """Take the levels away behind the head's convolution, and before activations in float."""
    makers = {name: node for node in graph.node for name in node.output}

    def readers(name: str) -> list[onnx.NodeProto]:
        return [node for node in graph.node if name in node.input]

    for quantiser in [n for n in graph.node if n.op_type == "QuantizeLinear"]:
        source = makers.get(quantiser.input[0])
        if source is None or source.op_type not in ("Conv", "ConvTranspose"):
            continue
        levels = {name for node in readers(quantiser.output[0]) for name in node.output}
        after = [node for name in levels for node in readers(name)]
        fused = bool(after) and all(node.op_type in _FUSED_ACTIVATIONS for node in after)
        if not fused and source.name not in head:
            continue
        for node in after:
            for i, name in enumerate(node.input):
                if name in levels:
                    node.input[i] = quantiser.input[0]
    remove_unread(graph)

"""Where a network with attention pays for int8: its convolutions, and what stands between them.

A quantised operator pays by its kernel. onnxruntime multiplies int8 two to three times as fast as
float32; a quantised Softmax takes seven times as long as the one in float32, and LayerNormalization
has none. What does not multiply gains nothing by itself: it is quantised only where both sides are,
as its numbers would otherwise be scaled there and back.
"""

from __future__ import annotations

import onnx

from depthrt_export.graph.nodes import ATTENTION, leading_to

CONVOLUTIONS = ("Conv", "ConvTranspose")
ACTIVATIONS = ("Relu", "Clip")  # computed by the convolution before them
JOINING = ("Add", "AveragePool", "Concat", "DepthToSpace", "GlobalAveragePool", "LeakyRelu",
           "MaxPool", "Mul", "Pad", "Reshape", "Resize", "Sigmoid", "Slice", "SpaceToDepth",
           "Split", "Squeeze", "Transpose", "Unsqueeze")  # fmt: skip
OPERATORS = (*CONVOLUTIONS, *ACTIVATIONS, *JOINING)


def convolution_chains(graph: onnx.GraphProto) -> set[str]:
    """Names of the convolutions, of their activations, and of what joins them to each other.

    A node joins if everything that it reads comes from convolutions by way of such nodes, and
    something that reads it belongs here as well. So tokens stay float from where a map is cut into
    them to where a convolution reads them again.
    """
    makers = {name: node for node in graph.node for name in node.output}
    constants = {i.name for i in graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found: set[str] = set()
    for node in graph.node:  # in the order of computation
        before = [makers.get(name) for name in node.input if name and name not in constants]
        fed = bool(before) and all(maker is not None and maker.name in found for maker in before)
        if node.op_type in CONVOLUTIONS or (node.op_type in (*ACTIVATIONS, *JOINING) and fed):
            found.add(node.name)
    for node in reversed(graph.node):
        if node.name not in found or node.op_type in CONVOLUTIONS:
            continue
        after_weights = makers[node.input[0]].op_type in CONVOLUTIONS
        after = [reader for name in node.output for reader in readers.get(name, ())]
        if not (node.op_type in ACTIVATIONS and after_weights) and not any(
            reader.name in found for reader in after
        ):
            found.remove(node.name)
    return found


def is_hybrid(graph: onnx.GraphProto) -> bool:
    """Whether attention stands among convolutions, not only behind one that cuts patches."""
    trunk = leading_to(graph, ATTENTION)
    return len([n for n in graph.node if n.op_type == "Conv" and n.name in trunk]) > 1

"""What a rewrite leaves behind in a graph."""

from __future__ import annotations

import onnx


def remove_unread(graph: onnx.GraphProto) -> None:
    """Drop nodes and initializers that lead nowhere: onnxruntime warns of the latter."""
    outputs = {o.name for o in graph.output}
    while True:
        read = {name for node in graph.node for name in node.input} | outputs
        idle = [node for node in graph.node if not read & set(node.output)]
        if not idle:
            break
        for node in idle:
            graph.node.remove(node)
    read = {name for node in graph.node for name in node.input} | outputs
    for tensor in [i for i in graph.initializer if i.name not in read]:
        graph.initializer.remove(tensor)

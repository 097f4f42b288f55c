"""What a rewrite leaves behind in a graph."""

from __future__ import annotations

import onnx


def remove_unread(graph: onnx.GraphProto) -> None:
    """Drop nodes and initializers that lead nowhere: onnxruntime warns of the latter."""
    while True:
        read = _read(graph)
        idle = [node for node in graph.node if not read & set(node.output)]
        if not idle:
            break
        for node in idle:
            graph.node.remove(node)
    for tensor in [i for i in graph.initializer if i.name not in read]:
        graph.initializer.remove(tensor)


def _read(graph: onnx.GraphProto) -> set[str]:
    """Names that the graph gives or its nodes read, in their branches as well."""
    read = {output.name for output in graph.output}
    for node in graph.node:
        read.update(node.input)
        for attribute in node.attribute:
            for branch in (attribute.g, *attribute.graphs):
                read |= _read(branch)
    return read

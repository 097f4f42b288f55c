"""A float32 graph that computes what a half-precision graph does, where that one has no kernels."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper, numpy_helper

from depthrt_calibration.ranges import float_tensors

_TYPES = {"float16": TensorProto.FLOAT16, "bfloat16": TensorProto.BFLOAT16}


def rounding_graph(model: onnx.ModelProto, precision: str, kept: frozenset[str]) -> onnx.ModelProto:
    """Round the weights and every tensor that a converted node reads or makes to the format.

    Each node still computes in float32, as the hardware that has the format accumulates in it, so
    the result differs from such hardware's by the order of its sums alone.

    Args:
        model: the float32 graph.
        precision: ``float16`` or ``bfloat16``.
        kept: names of the nodes that stay float32.
    """
    work = onnx.ModelProto()
    work.CopyFrom(model)
    graph, half = work.graph, _TYPES[precision]
    weights = {i.name: i for i in graph.initializer if i.data_type == TensorProto.FLOAT}
    made = set(float_tensors(work))
    exact = {o for n in graph.node if n.name in kept for o in n.output if o in made}
    nodes: list[onnx.NodeProto] = []
    rounded: dict[str, str] = {}

    def round_to(source: str, target: str) -> None:
        middle = f"{target}.{precision}"
        nodes.append(helper.make_node("Cast", [source], [middle], f"{target}/down", to=half))
        up = helper.make_node("Cast", [middle], [target], f"{target}/up", to=TensorProto.FLOAT)
        nodes.append(up)

    for node in graph.node:
        if node.name in kept:
            nodes.append(node)
            continue
        for i, name in enumerate(node.input):
            if name not in rounded and name in weights:
                rounded[name] = f"{name}.rounded"
                values = numpy_helper.to_array(weights[name])
                halves = values.astype(helper.tensor_dtype_to_np_dtype(half)).astype(values.dtype)
                graph.initializer.append(numpy_helper.from_array(halves, rounded[name]))
            elif name not in rounded and name in exact:
                rounded[name] = f"{name}.rounded"
                round_to(name, rounded[name])
            node.input[i] = rounded.get(name, name)
        outputs = [(i, name) for i, name in enumerate(node.output) if name in made]
        for i, name in outputs:
            node.output[i] = f"{name}.exact"
        nodes.append(node)
        for _, name in outputs:
            round_to(f"{name}.exact", name)
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input}
    for tensor in [i for i in graph.initializer if i.name not in read]:
        graph.initializer.remove(tensor)
    return work

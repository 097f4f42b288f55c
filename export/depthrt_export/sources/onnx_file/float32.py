"""A graph of float16 numbers in float32: the same operators, and weights cast up."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from depthrt_export.sources.onnx_file.reading import nodes_of

_HALF, _FLOAT = TensorProto.FLOAT16, TensorProto.FLOAT


def holds_half(model: onnx.ModelProto) -> bool:
    """Whether most of the weights are float16."""
    sizes: dict[int, int] = {_HALF: 0, _FLOAT: 0}
    for tensor in _tensors(model.graph):
        if tensor.data_type in sizes:
            sizes[tensor.data_type] += int(np.prod(tensor.dims))
    return sizes[_HALF] > sizes[_FLOAT]


def in_float32(source: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with float32 in the place of every float16 tensor and conversion to float16."""
    model = onnx.ModelProto()
    model.CopyFrom(source)
    for tensor in _tensors(model.graph):
        _raise(tensor)
    for node in nodes_of(model.graph):
        for attribute in node.attribute:
            if attribute.name in ("to", "dtype") and attribute.i == _HALF:
                attribute.i = _FLOAT
    graph = model.graph
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type == _HALF:
            value.type.tensor_type.elem_type = _FLOAT
    _forget_types(graph)
    return model


def _tensors(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    """The weights and constants of a graph and its branches."""
    found = list(graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                found.append(attribute.t)
            for branch in (attribute.g, *attribute.graphs):
                found += _tensors(branch)
    return found


def _raise(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == _HALF:
        values = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _forget_types(graph: onnx.GraphProto) -> None:
    """Drop what is declared of tensors in between: it is inferred anew."""
    del graph.value_info[:]
    for node in graph.node:
        for attribute in node.attribute:
            for branch in (attribute.g, *attribute.graphs):
                _forget_types(branch)
                for value in branch.output:
                    if value.type.tensor_type.elem_type == _HALF:
                        value.type.tensor_type.elem_type = _FLOAT

"""The graph of a file of others, made ready to stand inside another: tidied, named, raised."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

import numpy as np
import onnx
from onnx import TensorProto, helper, inliner, numpy_helper, version_converter

from depthrt.errors import ModelError
from depthrt_export.graph.nodes import remove_unread
from depthrt_export.sources.onnx_file.image_input import true_inputs
from depthrt_export.sources.onnx_file.reading import nodes_of, opset_of

PREFIX = "own."
"""Before names of the file's that the graph around it needs for itself."""

_TAKEN = ("image", "depth")
_FIRST_WITHOUT_LISTED_WEIGHTS = 4  # version of the format


def inner_graph(model: onnx.ModelProto, output: str) -> onnx.ModelProto:
    """A copy with one input and the one output, without functions and unread nodes."""
    work = onnx.ModelProto()
    work.CopyFrom(model)
    if work.functions:
        work = inliner.inline_local_functions(work)
    graph = work.graph
    used = {node.domain for node in nodes_of(graph)} | {""}
    for entry in [o for o in work.opset_import if o.domain not in used]:
        work.opset_import.remove(entry)
    for value in [v for v in graph.output if v.name != output]:
        graph.output.remove(value)
    _as_weights(graph)
    remove_unread(graph)
    kept = {value.name for value in true_inputs(graph)}
    for value in [v for v in graph.input if v.name not in kept]:
        graph.input.remove(value)
    work.ir_version = max(work.ir_version, _FIRST_WITHOUT_LISTED_WEIGHTS)
    del work.metadata_props[:], graph.metadata_props[:]
    _name_nodes(graph)
    return work


def with_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The model in the operators of another opset.

    Raises:
        ModelError: the onnx package cannot convert it.
    """
    if opset_of(model) == opset:
        return model
    try:
        raised = version_converter.convert_version(model, opset)
    except Exception as error:  # the converter's own classes derive from nothing narrower
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(f"its opset {opset_of(model)} is not raised to {opset}: {reason}") from (
            error
        )
    needed = helper.find_min_ir_version_for(raised.opset_import, ignore_unknown=True)
    raised.ir_version = max(raised.ir_version, needed)
    return raised


def forget_shapes(graph: onnx.GraphProto) -> None:
    """Drop what is declared of tensors: it may be of another batch or size, and is inferred."""
    del graph.value_info[:]
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")


def without_taken_names(graph: onnx.GraphProto) -> None:
    """Rename what is called as the graph around it calls its input and output."""
    for name in _TAKEN:
        _rename(graph, name, f"{PREFIX}{name}")


def _as_weights(graph: onnx.GraphProto) -> None:
    """Constant nodes as initializers, where weights are looked for."""
    for node in [n for n in graph.node if n.op_type == "Constant" and not n.domain]:
        value = _constant(node)
        if value is not None:
            graph.initializer.append(value)
            graph.node.remove(node)


def _constant(node: onnx.NodeProto) -> onnx.TensorProto | None:
    name = node.output[0]
    for attribute in node.attribute:
        if attribute.name == "value":
            tensor = onnx.TensorProto()
            tensor.CopyFrom(attribute.t)
            tensor.name = name
            return tensor
        kinds = {"f": np.float32, "i": np.int64}
        kind = {"value_float": "f", "value_int": "i"}.get(attribute.name)
        many = {"value_floats": "f", "value_ints": "i"}.get(attribute.name)
        if kind is not None:
            return numpy_helper.from_array(np.array(getattr(attribute, kind), kinds[kind]), name)
        if many is not None:
            values = attribute.floats if many == "f" else attribute.ints
            return numpy_helper.from_array(np.array(values, kinds[many]), name)
    return None


def _name_nodes(graph: onnx.GraphProto) -> None:
    """Unique names, ``encoder.blocks.3/Conv``: modules joined by dots, as the search needs them.

    TorchScript's exporter writes ``/encoder/blocks/blocks.3/Conv``.
    """
    taken: dict[str, int] = {}
    for node in graph.node:
        *scopes, last = [part for part in node.name.split("/") if part] or [node.op_type]
        name = f"{'.'.join(_scopes(scopes))}/{last}".lstrip("/")
        taken[name] = taken.get(name, -1) + 1
        node.name = f"{name}_{taken[name]}" if taken[name] else name


def _scopes(parts: list[str]) -> Iterator[str]:
    """``blocks``, ``blocks.3`` are one module, ``blocks.3``."""
    for part, following in zip_longest(parts, parts[1:], fillvalue=""):
        if not following.startswith(f"{part}."):
            yield part


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        if value.name == old:
            value.name = new
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
        for attribute in node.attribute:
            for branch in (attribute.g, *attribute.graphs):
                _rename(branch, old, new)


def element_of(value: onnx.ValueInfoProto) -> int:
    """The type of a tensor's elements."""
    return int(value.type.tensor_type.elem_type) or TensorProto.FLOAT

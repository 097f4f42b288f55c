"""What else a file may have about it: outputs beside the depth, odd axes, weights among inputs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


def peculiar(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The model with one peculiarity."""
    if name in _CHANGES:
        _CHANGES[name](model)
    return model


def _weights_among_inputs(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        model.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        )


def _weights_as_constants(model: onnx.ModelProto) -> None:
    graph = model.graph
    nodes = [helper.make_node("Constant", [], [t.name], value=t) for t in graph.initializer]
    rest = list(graph.node)
    del graph.node[:], graph.initializer[:]
    graph.node.extend([*nodes, *rest])


def _no_sides(model: onnx.ModelProto) -> None:
    for dim in model.graph.input[0].type.tensor_type.shape.dim:
        dim.Clear()


def _zero_sides(model: onnx.ModelProto) -> None:
    dims = model.graph.input[0].type.tensor_type.shape.dim
    for dim in (dims[0], *dims[2:]):
        dim.dim_value = -1


def _features_beside(model: onnx.ModelProto) -> None:
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    value = helper.make_tensor_value_info(conv.output[0], TensorProto.FLOAT, None)
    model.graph.output.insert(0, value)


def _confidence_beside(model: onnx.ModelProto) -> None:
    graph = model.graph
    graph.node.append(helper.make_node("Neg", [graph.output[0].name], ["confidence"]))
    graph.output.insert(0, helper.make_tensor_value_info("confidence", TensorProto.FLOAT, None))


def _unread_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("step", TensorProto.INT64, [1]))


def _second_input(model: onnx.ModelProto) -> None:
    graph = model.graph
    graph.input.append(helper.make_tensor_value_info("focal", TensorProto.FLOAT, [1]))
    out = graph.output[0].name
    graph.node[-1].output[0] = "before_focal"
    graph.node.append(helper.make_node("Mul", ["before_focal", "focal"], [out]))


def _after_output(*nodes: tuple[str, dict[str, Any]], element: int = 1) -> Callable[..., None]:
    """More nodes behind the output."""

    def change(model: onnx.ModelProto) -> None:
        graph = model.graph
        value = graph.output[0].name
        for number, (operator, attributes) in enumerate(nodes):
            result = f"more{number}"
            graph.node.append(helper.make_node(operator, [value], [result], **attributes))
            value = result
        graph.output[0].name = value
        graph.output[0].type.tensor_type.elem_type = element

    return change


def _boxes(model: onnx.ModelProto) -> None:
    graph = model.graph
    shape = numpy_helper.from_array(np.array([1, -1, 6], np.int64), "boxes_shape")
    graph.initializer.append(shape)
    graph.node.append(helper.make_node("Reshape", [graph.output[0].name, "boxes_shape"], ["boxes"]))
    graph.output[0].name = "boxes"


def _custom(model: onnx.ModelProto) -> None:
    model.graph.node[-1].domain = "mmdeploy"
    model.graph.node[-1].op_type = "grid_sampler"
    model.opset_import.append(helper.make_opsetid("mmdeploy", 1))


def _not_finite(model: onnx.ModelProto) -> None:
    tensor = next(t for t in model.graph.initializer if len(t.dims) == 4)
    broken = np.full(tuple(tensor.dims), np.nan, np.float32)
    tensor.CopyFrom(numpy_helper.from_array(broken, tensor.name))


def _flat(model: onnx.ModelProto) -> None:
    tensor = [t for t in model.graph.initializer if len(t.dims) == 4][-1]
    flat = np.zeros(tuple(tensor.dims), np.float32)
    tensor.CopyFrom(numpy_helper.from_array(flat, tensor.name))


def _mixing(model: onnx.ModelProto) -> None:
    graph = model.graph
    value = graph.output[0].name
    graph.node.append(helper.make_node("ReduceMax", [value], ["greatest"], keepdims=0))
    graph.node.append(helper.make_node("Sub", [value, "greatest"], ["apart"]))
    graph.output[0].name = "apart"


def _batch_in_reshape(model: onnx.ModelProto) -> None:
    """A Reshape that only fits the declared batch, as exporters write traced sizes."""
    graph = model.graph
    value = graph.output[0].name
    shape = numpy_helper.from_array(np.array([4, 1, 64, 96], np.int64), "traced_shape")
    graph.initializer.append(shape)
    graph.node.append(helper.make_node("Reshape", [value, "traced_shape"], ["traced"]))
    graph.output[0].name = "traced"


def _function(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if node.op_type == "Relu":
            node.op_type, node.domain = "Clamped", "local"
    body = [helper.make_node("Relu", ["v"], ["r"])]
    opset = helper.make_opsetid("", model.opset_import[0].version)
    model.functions.append(helper.make_function("local", "Clamped", ["v"], ["r"], body, [opset]))
    model.opset_import.append(helper.make_opsetid("local", 1))


def _first_named_node(model: onnx.ModelProto) -> None:
    for number, node in enumerate(model.graph.node):
        node.name = f"/encoder/blocks/blocks.{number // 4}/{node.op_type}_{number}"


_CHANGES: Mapping[str, Callable[[onnx.ModelProto], None]] = {
    "weights among inputs": _weights_among_inputs,
    "weights as constants": _weights_as_constants,
    "no sides": _no_sides,
    "sides of -1": _zero_sides,
    "features beside": _features_beside,
    "confidence beside": _confidence_beside,
    "unread input": _unread_input,
    "second input": _second_input,
    "classes": _after_output(("GlobalAveragePool", {}), ("Flatten", {})),
    "labels": _after_output(("Cast", {"to": TensorProto.INT64}), element=TensorProto.INT64),
    "boxes": _boxes,
    "custom operator": _custom,
    "NaN": _not_finite,
    "flat": _flat,
    "mixing": _mixing,
    "batch of 4 in a reshape": _batch_in_reshape,
    "function": _function,
    "TorchScript's names": _first_named_node,
}


def quantise(model: onnx.ModelProto, how: str, path: Path) -> None:
    """Write the model quantised by onnxruntime: ``qdq``, ``qoperator`` or ``dynamic``."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static

    value = model.graph.input[0]
    shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]

    class Noise:
        def __init__(self) -> None:
            self._left = iter(_noise(shape))

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            found = next(self._left, None)
            return None if found is None else {value.name: found}

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "float.onnx"
        onnx.save(model, source)
        if how == "dynamic":
            quantize_dynamic(source, path, op_types_to_quantize=["MatMul"])
            return
        form = QuantFormat.QDQ if how == "qdq" else QuantFormat.QOperator
        kind = QuantType.QInt8 if how == "qdq" else QuantType.QUInt8
        quantize_static(source, path, Noise(), quant_format=form, activation_type=kind)


def _noise(shape: list[int]) -> Iterator[NDArray[np.float32]]:
    random = np.random.default_rng(5)
    for _ in range(4):
        yield random.uniform(-2, 2, shape).astype(np.float32)

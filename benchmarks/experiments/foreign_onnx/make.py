"""Make the file of a variant: a small depth network of fixed weights, written with onnx alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from experiments.foreign_onnx.variant import Variant

HEIGHT, WIDTH = 64, 96
_TYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "float64": TensorProto.DOUBLE,
    "uint8": TensorProto.UINT8,
    "int8": TensorProto.INT8,
    "bfloat16": TensorProto.BFLOAT16,
}
_IMAGENET = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


class Graph:
    """Nodes and weights in the operators of an opset, each fed by the one before."""

    def __init__(self, opset: int, dtype: type[np.generic], entry: str = "x") -> None:
        self.opset, self.dtype, self.value = opset, dtype, entry
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(7)

    def add(self, operator: str, *others: str, **attributes: Any) -> str:
        """A node that reads the value, and others; its result is the value from now on."""
        name = f"t{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operator, [self.value, *others], [name], name="", **attributes)
        )
        self.value = name
        return name

    def weight(self, value: NDArray[Any]) -> str:
        """A constant."""
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def number(self, *values: float, shape: tuple[int, ...] = ()) -> str:
        """A constant of the network's type."""
        return self.weight(np.array(values, self.dtype).reshape(shape))

    def conv(self, channels: int, made: int, side: int, stride: int = 1) -> None:
        """A convolution that keeps the size, or halves it."""
        shape = (made, channels, side, side)
        weight = self._random.normal(size=shape) * np.sqrt(1.2 / (channels * side * side))
        bias = self._random.normal(size=made) * 0.05
        self.add(
            "Conv",
            self.weight(weight.astype(self.dtype)),
            self.weight(bias.astype(self.dtype)),
            pads=[side // 2] * 4,
            strides=[stride] * 2,
        )

    def enlarge(self, times: float) -> None:
        """Enlarge height and width."""
        scales = self.weight(np.array([1, 1, times, times], np.float32))
        if self.opset < 10:
            self.add("Upsample", scales, mode="nearest")
        elif self.opset < 11:
            self.add("Resize", scales, mode="nearest")
        else:
            roi = self.weight(np.zeros(0, np.float32))
            self.add("Resize", roi, scales, mode="linear")

    def squeeze(self, operator: str, axis: int) -> None:
        """``Squeeze`` or ``Unsqueeze`` of one axis."""
        if self.opset >= 13:
            self.add(operator, self.weight(np.array([axis], np.int64)))
        else:
            self.add(operator, axes=[axis])


def network(variant: Variant, dtype: type[np.generic], entry: str) -> Graph:
    """Normalised pixels N,3,H,W to depth N,1,h,w."""
    graph = Graph(variant.opset, dtype, entry)
    graph.conv(3, 8, 3, stride=2)
    graph.add("Relu")
    graph.conv(8, 16, 3, stride=2)
    graph.add("Relu")
    if variant.network == "attention":
        _attention(graph, 1 if "frozen batch" in variant.more else 0)
    graph.conv(16, 16, 3)
    graph.add("Relu")
    graph.enlarge(2)
    graph.conv(16, 8, 1)
    graph.add("Relu")
    graph.conv(8, 1, 3)
    if variant.shrink < 2:
        graph.enlarge(2 / variant.shrink)
    elif variant.shrink > 2:
        graph.add("AveragePool", kernel_shape=[variant.shrink // 2] * 2,
                  strides=[variant.shrink // 2] * 2)  # fmt: skip
    graph.add("Sigmoid")
    return graph


def _attention(graph: Graph, batch: int) -> None:
    """Attention of every place of the map to all others, added to the map; batch 0 is any."""
    skip = graph.value
    rows, columns, channels = HEIGHT // 4, WIDTH // 4, 16
    to_tokens = graph.weight(np.array([batch, channels, rows * columns], np.int64))
    back = graph.weight(np.array([batch, channels, rows, columns], np.int64))
    graph.add("Reshape", to_tokens)
    tokens = graph.add("Transpose", perm=[0, 2, 1])
    random = np.random.default_rng(3)
    projected = []
    for _ in range(3):
        graph.value = tokens
        matrix = (random.normal(size=(channels, channels)) / 4).astype(graph.dtype)
        projected.append(graph.add("MatMul", graph.weight(matrix)))
    query, key, value = projected
    graph.value = key
    graph.add("Transpose", perm=[0, 2, 1])
    key, graph.value = graph.value, query
    graph.add("MatMul", key)
    graph.add("Mul", graph.number(0.25))
    graph.add("Softmax", axis=2)
    graph.add("MatMul", value)
    graph.add("Transpose", perm=[0, 2, 1])
    graph.add("Reshape", back)
    graph.add("Add", skip)


def before(graph: Graph, variant: Variant) -> None:
    """What the graph does to its input before the network."""
    if (variant.element != "float32" and not variant.half) or variant.element == "uint8":
        graph.add("Cast", to=_TYPES["float16" if variant.half else "float32"])
    elif variant.half and variant.element == "float32":
        graph.add("Cast", to=_TYPES["float16"])
    last = variant.axes.endswith("3")
    shape = (1, 1, 1, 3) if last else (1, 3, 1, 1)
    mean, std = _IMAGENET
    if variant.bgr:
        mean, std = mean[::-1], std[::-1]
    steps: dict[str, list[tuple[str, Any]]] = {
        "": [],
        "/255": [("Div", 255.0)],
        "ImageNet of 0..255": [("Mul", 1 / 255), ("Sub", mean), ("Div", std)],
        "ImageNet": [("Sub", mean), ("Div", std)],
        "-1..1": [("Div", 127.5), ("Sub", 1.0)],
        "less mean": [("Sub", mean * 255), ("Mul", 0.02)],
    }
    for operator, value in steps[variant.inside]:
        values = np.atleast_1d(value)
        at = shape if values.size == 3 else ()
        graph.add(operator, graph.number(*values, shape=at))
    if variant.axes == "3,H,W" or variant.axes == "H,W,3":
        graph.squeeze("Unsqueeze", 0)
    if last:
        graph.add("Transpose", perm=[0, 3, 1, 2])


def after(graph: Graph, variant: Variant) -> None:
    """From N,1,h,w to the layout of the variant."""
    if variant.layout in ("N,H,W", "H,W"):
        graph.squeeze("Squeeze", 1)
    if variant.layout in ("N,H,W,1", "H,W,1"):
        graph.add("Transpose", perm=[0, 2, 3, 1])
    if variant.layout in ("H,W", "H,W,1"):
        graph.squeeze("Squeeze", 0)
    wanted = "float16" if variant.element == "float16" and variant.half else "float32"
    if variant.half and wanted == "float32":
        graph.add("Cast", to=_TYPES[wanted])


def build(variant: Variant) -> onnx.ModelProto:
    """The model of a variant, not quantised yet."""
    dtype: type[np.generic] = np.float16 if variant.half else np.float32
    entry = "image" if "taken names" in variant.more else "input"
    first = Graph(variant.opset, dtype, entry)
    before(first, variant)
    inner = network(variant, dtype, "x")
    shift = len(first.nodes)
    for node in inner.nodes:  # names of the two parts must differ
        node.input[:] = [_moved(name, shift, first.value) for name in node.input]
        node.output[:] = [f"n{name}" for name in node.output]
    for tensor in inner.weights:
        tensor.name = f"n{tensor.name}"
    first.nodes += inner.nodes
    first.weights += inner.weights
    first.value = f"n{inner.value}"
    after(first, variant)
    output = "depth" if "taken names" in variant.more else "out"
    first.nodes[-1].output[0] = output
    sides: dict[str, Any] = {"N": variant.batch, "3": 3, "H": HEIGHT, "W": WIDTH}
    if variant.batch is None:
        sides["N"] = "batch"
    if variant.size_open:
        sides |= {"H": "height", "W": "unk__7"}
    shape = [sides[axis] for axis in variant.axes.split(",")]
    result = TensorProto.FLOAT16 if variant.half and variant.element == "float16" else 1
    graph = helper.make_graph(
        first.nodes,
        "foreign",
        [helper.make_tensor_value_info(entry, _TYPES[variant.element], shape)],
        [helper.make_tensor_value_info(output, result, None)],
        first.weights,
    )
    imports = [helper.make_opsetid("", variant.opset)]
    model = helper.make_model(graph, opset_imports=imports, producer_name="somebody")
    model.ir_version = min(helper.find_min_ir_version_for(imports), 10)
    return model


def _moved(name: str, shift: int, entry: str) -> str:
    return entry if name == "x" else f"n{name}"


def save(variant: Variant, path: Path) -> None:
    """Write the file of a variant."""
    from experiments.foreign_onnx.peculiar import peculiar, quantise

    model = build(variant)
    if variant.quantised:
        quantise(model, variant.quantised, path)
        return
    for name in variant.more:
        model = peculiar(model, name)
    if "external data" in variant.more:
        onnx.save(
            model, path, save_as_external_data=True, location=f"{path.stem}.data", size_threshold=0
        )
        return
    onnx.save(model, path)

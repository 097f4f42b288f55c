"""The graph of the contract around that of a file: uint8 pixels in, float32 depth out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from depthrt.errors import ModelError
from depthrt_export.graph.fold_pixels import BGR, fold_channel_order
from depthrt_export.graph.inner_graph import (
    element_of,
    forget_shapes,
    inner_graph,
    with_opset,
    without_taken_names,
)
from depthrt_export.graph.nodes import remove_unread
from depthrt_export.sources.network import Normalisation
from depthrt_export.sources.onnx_file.first_nodes import FirstNodes, first_nodes
from depthrt_export.sources.onnx_file.reading import opset_of
from depthrt_export.sources.onnx_file.reference import Form

Array = NDArray[Any]

_TO_LAST, _TO_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
_AXES_AS_INPUT = 13  # the first opset where Squeeze takes its axes as an input
_RESIZE_WITH_SIZES = 11
_AS_PIXELS = Normalisation(scale=1.0)
_TYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "float64": TensorProto.DOUBLE,
    "uint8": TensorProto.UINT8,
    "int8": TensorProto.INT8,
}


@dataclass(frozen=True)
class Shape:
    """Batch, height and width of the graph; None is left open.

    ``size``: height and width that the graph is run at, also where they are open.
    """

    batch: int | None
    size: tuple[int, int]
    size_open: bool = False

    @property
    def axes(self) -> list[int | str]:
        """Batch, height and width as they are declared."""
        sides: tuple[int | str, int | str] = ("height", "width") if self.size_open else self.size
        return ["batch" if self.batch is None else self.batch, *sides]


@dataclass(frozen=True, eq=False)
class Wrapped:
    """The graph, and a line for each thing that was done to it."""

    model: onnx.ModelProto
    notes: tuple[str, ...]


def wrap(
    model: onnx.ModelProto,
    form: Form,
    how: Normalisation,
    shape: Shape,
    opset: int,
    *,
    exactly: bool = False,
) -> Wrapped:
    """The contract's graph around the model's.

    Args:
        model: what the file holds.
        form: how it takes a picture and gives depth.
        how: what it expects of pixels; nothing where it takes uint8.
        shape: batch and size of the graph.
        opset: to raise it to; its own: it stays.
        exactly: pixels are prepared operation by operation as :mod:`reference` does it, for graphs
            that round what comes in; else so that it can be folded into the first convolution.

    Raises:
        ModelError: it cannot be raised to that opset.
    """
    inner = with_opset(inner_graph(model, form.depth.name), opset)
    graph = inner.graph
    forget_shapes(graph)
    without_taken_names(graph)
    form = replace(form, image=replace(form.image, name=graph.input[0].name))
    takes_floats = not exactly and _take_floats(graph)
    if takes_floats and form.image.element == "uint8":
        form, how = replace(form, image=replace(form.image, element="float32")), _AS_PIXELS
    makes = _Around(inner, form, shape)
    if form.image.element in ("uint8", "int8") or exactly:
        makes.pixels_by_the_book(how)
    else:
        makes.pixels_to_fold(how, _absorbed(graph, form))
    makes.picture()
    makes.depth()
    turned = fold_channel_order(inner) if form.bgr else ""
    _cancel_transposes(graph)
    remove_unread(graph)
    return Wrapped(inner, (turned,) if turned else ())


def _take_floats(graph: onnx.GraphProto) -> bool:
    """Let a graph that first turns its input into float32 take float32 itself; whether it does."""
    value, nodes = graph.input[0].name, []
    while True:
        readers = [node for node in graph.node if value in node.input]
        if len(readers) != 1 or readers[0].op_type not in ("Transpose", "Cast", "Identity"):
            return False
        value = readers[0].output[0]
        nodes.append(readers[0])
        if readers[0].op_type == "Cast":
            break
    if any(a.name == "to" and a.i != TensorProto.FLOAT for a in nodes[-1].attribute):
        return False
    _bypass(graph, nodes[-1], nodes[-1].input[0])
    graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    return True


def _absorbed(graph: onnx.GraphProto, form: Form) -> FirstNodes:
    """The arithmetic at the graph's beginning, taken out of it."""
    found = first_nodes(graph, form.image)
    if not found.gain.all():
        return FirstNodes()
    for node, index in zip(found.nodes, found.through, strict=True):
        _bypass(graph, node, node.input[index])
    return found


class _Around:
    """Puts nodes before and behind a graph, one after the other."""

    def __init__(self, model: onnx.ModelProto, form: Form, shape: Shape) -> None:
        self.graph, self.form, self.shape = model.graph, form, shape
        self.opset = opset_of(model)
        self.before: list[onnx.NodeProto] = []
        self.value = "image"

    def pixels_to_fold(self, how: Normalisation, own: FirstNodes) -> None:
        """``(p - zero) * gain``, the graph's own arithmetic included."""
        turn = slice(None, None, -1 if self.form.bgr else 1)  # the graph's channels
        mean, std = (np.array(v, np.float64)[turn] for v in (how.mean, how.std))
        gain = own.gain * how.scale / std
        zero = mean / how.scale - own.offset / gain
        self._cast(TensorProto.FLOAT)
        self._compute("Sub", "pixel_zero", zero[turn])
        self._compute("Mul", "pixel_gain", gain[turn])

    def pixels_by_the_book(self, how: Normalisation) -> None:
        """``(p * scale - mean) / std`` where the file does not take pixels as they are."""
        if self.form.image.element == "uint8":
            return
        self._cast(TensorProto.FLOAT)
        steps = (("Mul", "pixel_scale", (how.scale,) * 3), ("Sub", "pixel_mean", how.mean),
                 ("Div", "pixel_std", how.std))  # fmt: skip
        for operator, name, values in steps:
            if any(value != float(operator != "Sub") for value in values):
                self._compute(operator, name, np.array(values))
        if self.form.image.element == "int8":
            self._add("Round")
            limits = [self._weight(f"int8_{n}", np.float32(n)) for n in (-128, 127)]
            self._add("Clip", *limits)

    def picture(self) -> None:
        """Channels, axes and type as the graph takes them; the graph's input becomes ``image``."""
        image = self.form.image
        if self.form.bgr:
            self._add("Gather", self._weight(BGR, np.array([2, 1, 0], np.int64)), axis=1)
        if image.channels_last:
            self._add("Transpose", perm=_TO_LAST)
        if image.alone:
            self._squeeze("Squeeze", 0)
        wanted = element_of(self.graph.input[0])
        if image.element != "uint8" and wanted != TensorProto.FLOAT:
            self._cast(wanted)
        for node in self.graph.node:
            node.input[:] = [self.value if name == image.name else name for name in node.input]
        own = list(self.graph.node)
        del self.graph.node[:]
        self.graph.node.extend([*self.before, *own])
        batch, *sides = self.shape.axes
        axes = [batch, 3, *sides]
        del self.graph.input[:]
        self.graph.input.append(helper.make_tensor_value_info("image", TensorProto.UINT8, axes))
        self.before = []

    def depth(self) -> None:
        """The graph's output as float32 N,H,W of the picture's size."""
        output, layout = self.graph.output[0], self.form.depth.layout
        self.value = output.name
        if element_of(output) != TensorProto.FLOAT:
            self._cast(TensorProto.FLOAT)
        if layout in ("N,H,W,1", "H,W,1"):
            self._squeeze("Squeeze", 3 if layout == "N,H,W,1" else 2)
        if layout in ("H,W", "H,W,1"):
            self._squeeze("Unsqueeze", 0)
        if self.form.depth.size != self.shape.size:
            if layout != "N,1,H,W":
                self._squeeze("Unsqueeze", 1)
            self._resize()
            self._squeeze("Squeeze", 1)
        elif layout == "N,1,H,W":
            self._squeeze("Squeeze", 1)
        if not self.before:
            self._add("Identity")
        self.before[-1].output[0] = "depth"
        self.graph.node.extend(self.before)
        del self.graph.output[:]
        self.graph.output.append(
            helper.make_tensor_value_info("depth", TensorProto.FLOAT, self.shape.axes)
        )

    def _resize(self) -> None:
        if self.opset < _RESIZE_WITH_SIZES:
            raise ModelError(
                f"its depth has another size than the picture, which opset {self.opset} cannot "
                "resize"
            )
        batch, *sides = self.shape.axes
        if isinstance(batch, int) and not self.shape.size_open:
            sizes = self._weight("depth_size", np.array([batch, 1, *sides], np.int64))
        else:
            sizes = self._sizes_of_image()
        nothing = self._weight("depth_roi", np.zeros(0, np.float32))
        self._add(
            "Resize", nothing, nothing, sizes,
            mode="linear", coordinate_transformation_mode="half_pixel",
        )  # fmt: skip

    def _sizes_of_image(self) -> str:
        """Batch, 1, height and width of the picture, computed when the graph is run."""
        keep = self._weight("depth_sides", np.array([1, 0, 1, 1], np.int64))
        one = self._weight("depth_channels", np.array([0, 1, 0, 0], np.int64))
        steps = {"Shape": ["image"], "Mul": ["image_shape", keep], "Add": ["image_sides", one]}
        results = ("image_shape", "image_sides", "depth_size")
        for (operator, inputs), result in zip(steps.items(), results, strict=True):
            self.before.append(helper.make_node(operator, inputs, [result], name=result))
        return "depth_size"

    def _compute(self, operator: str, name: str, values: Array) -> None:
        self._add(operator, self._weight(name, values.astype(np.float32).reshape(1, 3, 1, 1)))

    def _squeeze(self, operator: str, axis: int) -> None:
        if self.opset >= _AXES_AS_INPUT:
            self._add(operator, self._weight(f"axis_{axis}", np.array([axis], np.int64)))
        else:
            self._add(operator, axes=[axis])

    def _cast(self, element: int) -> None:
        self._add("Cast", to=element)

    def _add(self, operator: str, *others: str, **attributes: Any) -> None:
        taken = {name for node in (*self.graph.node, *self.before) for name in node.output}
        name = next(n for i in range(99) if (n := f"around/{operator}{i or ''}") not in taken)
        self.before.append(
            helper.make_node(operator, [self.value, *others], [name], name=name, **attributes)
        )
        self.value = name

    def _weight(self, name: str, value: Array | np.generic) -> str:
        if all(tensor.name != name for tensor in self.graph.initializer):
            self.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name


def _cancel_transposes(graph: onnx.GraphProto) -> None:
    """Take out a Transpose to channels last that is only read by such back to channels first."""
    for node in list(graph.node):
        if _perm(node) != _TO_LAST:
            continue
        readers = [n for n in graph.node if node.output[0] in n.input]
        if readers and all(_perm(reader) == _TO_FIRST for reader in readers):
            for reader in readers:
                _bypass(graph, reader, node.output[0])
            _bypass(graph, node, node.input[0])


def _perm(node: onnx.NodeProto) -> list[int]:
    if node.op_type != "Transpose":
        return []
    return next((list(a.ints) for a in node.attribute if a.name == "perm"), [])


def _bypass(graph: onnx.GraphProto, node: onnx.NodeProto, value: str) -> None:
    """Take out a node whose input ``value`` takes the place of its output."""
    for reader in graph.node:
        reader.input[:] = [value if name == node.output[0] else name for name in reader.input]
    graph.node.remove(node)

"""How an ONNX file takes its picture: name, order of the axes, type of the elements, size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx
from onnx import TensorProto

from depthrt.errors import ModelError
from depthrt_export.sources.onnx_file.reading import nodes_of

Axes = Literal["N,3,H,W", "N,H,W,3", "3,H,W", "H,W,3"]
Element = Literal["float32", "float16", "float64", "uint8", "int8"]

_ELEMENTS: dict[int, Element] = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.DOUBLE: "float64",
    TensorProto.UINT8: "uint8",
    TensorProto.INT8: "int8",
}
_BY_RANK: dict[int, tuple[Axes, ...]] = {4: ("N,3,H,W", "N,H,W,3"), 3: ("3,H,W", "H,W,3")}
_SHOWN = 4


@dataclass(frozen=True)
class ImageInput:
    """The input for pictures; None where batch, height or width is open."""

    name: str
    axes: Axes
    element: Element
    batch: int | None
    height: int | None
    width: int | None

    @property
    def fixed_size(self) -> tuple[int, int] | None:
        """Height and width where the file fixes both."""
        if self.height is None or self.width is None:
            return None
        return self.height, self.width

    @property
    def channels_last(self) -> bool:
        """Whether the channels are the last axis."""
        return self.axes.endswith("3")

    @property
    def alone(self) -> bool:
        """Whether there is no axis for a batch."""
        return not self.axes.startswith("N")

    def step(self, count: int) -> int:
        """Pictures of a run where there are ``count``."""
        return 1 if self.alone else self.batch or count

    def text(self) -> str:
        """``float32 N,3,192,320`` for people."""
        sides = {"N": self.batch, "H": self.height, "W": self.width, "3": 3}
        shape = ",".join(str(sides[axis] or axis) for axis in self.axes.split(","))
        return f"{self.element} {shape}"


def image_inputs(path: Path, model: onnx.ModelProto) -> list[ImageInput]:
    """The forms that the input may have, likely ones first; several where axes are open.

    Raises:
        ModelError: no input or several, one that takes no picture of three channels, or elements
            that a picture cannot be fed as.
    """
    inputs = true_inputs(model.graph)
    if len(inputs) != 1:
        listed = ", ".join(f"{each.name} {shown_type(each)}" for each in inputs[:_SHOWN])
        more = f" and {len(inputs) - _SHOWN} more" if len(inputs) > _SHOWN else ""
        raise ModelError(
            f"{path} takes {len(inputs)} inputs ({listed}{more}): a depthrt model takes one picture"
            if inputs
            else f"{path} takes no input: it is no network of pictures"
        )
    (value,) = inputs
    if not value.type.HasField("tensor_type"):
        raise ModelError(f"{path} takes {value.name}, which is no tensor")
    element = _ELEMENTS.get(value.type.tensor_type.elem_type)
    if element is None:
        raise ModelError(
            f"{path} takes {shown_type(value)} as {value.name}: a picture is fed as float32, "
            "float16, float64, uint8 or int8"
        )
    sides = _sides(value)
    ranks = (4, 3) if sides is None else (len(sides),)
    found = [
        form
        for rank in ranks
        for axes in _BY_RANK.get(rank, ())
        if (form := _form(value.name, axes, element, sides or [None] * rank)) is not None
    ]
    if not found:
        raise ModelError(
            f"{path} takes {shown_type(value)} as {value.name}: no picture of three channels, such "
            "as N,3,H,W or N,H,W,3"
        )
    # An axis that is 3 tells more than one that is open.
    open_channels = [f for f in found if _channels(f, sides) is None]
    return [f for f in found if f not in open_channels] or open_channels


def true_inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """The inputs that something reads and that are no weights, which old files list among them."""
    weights = {tensor.name for tensor in graph.initializer}
    weights |= {tensor.values.name for tensor in graph.sparse_initializer}
    read = {name for node in nodes_of(graph) for name in node.input}
    return [each for each in graph.input if each.name not in weights and each.name in read]


def shown_type(value: onnx.ValueInfoProto) -> str:
    """``float32 1,3,192,320`` for people."""
    tensor = value.type.tensor_type
    name = TensorProto.DataType.Name(tensor.elem_type).lower()
    name = {"float": "float32", "double": "float64"}.get(name, name)
    sides = _sides(value)
    if sides is None:
        return f"{name} of any shape"
    names = [dim.dim_param or "?" for dim in tensor.shape.dim]
    return f"{name} {','.join(str(s or n) for s, n in zip(sides, names, strict=True))}"


def _sides(value: onnx.ValueInfoProto) -> list[int | None] | None:
    """Sides of a tensor, None where one is open (exporters write names, 0, -1 or nothing)."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return [d.dim_value if d.dim_value > 0 else None for d in tensor.shape.dim]


def _form(name: str, axes: Axes, element: Element, sides: list[int | None]) -> ImageInput | None:
    by_axis = dict(zip(axes.split(","), sides, strict=True))
    if by_axis["3"] not in (3, None):
        return None
    return ImageInput(name, axes, element, by_axis.get("N", 1), by_axis["H"], by_axis["W"])


def _channels(form: ImageInput, sides: list[int | None] | None) -> int | None:
    return None if sides is None else sides[form.axes.split(",").index("3")]

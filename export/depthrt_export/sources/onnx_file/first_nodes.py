"""What a graph does to pixels by itself before its first layer, such as a division by 255."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from depthrt_export.sources.network import Normalisation
from depthrt_export.sources.onnx_file.image_input import ImageInput

Array = NDArray[np.float64]

_AS_PIXELS = Normalisation(scale=1.0)
# Gains of networks that take pixels of 0..255 end at 1 / 58, those of 0..1 begin at 1.
_GAIN_OF_PIXELS = 0.05
_OFFSET_OF_PIXELS = 20.0


@dataclass(frozen=True, eq=False)
class FirstNodes:
    """``value * gain + offset`` of each channel, in the order of the graph's own channels.

    ``nodes``: the arithmetic, in order; ``through``: which input of each is not constant.
    """

    gain: Array = field(default_factory=lambda: np.ones(3))
    offset: Array = field(default_factory=lambda: np.zeros(3))
    nodes: tuple[onnx.NodeProto, ...] = ()
    through: tuple[int, ...] = ()

    def then(self, node: onnx.NodeProto, through: int, gain: Array, offset: Array) -> FirstNodes:
        """With one more node, which computes ``value * gain + offset`` from its input."""
        return FirstNodes(
            self.gain * gain,
            self.offset * gain + offset,
            (*self.nodes, node),
            (*self.through, through),
        )


def first_nodes(graph: onnx.GraphProto, image: ImageInput) -> FirstNodes:
    """The arithmetic with constants that pixels go through first."""
    constants = _constants(graph)
    found, value = FirstNodes(), image.name
    rank = len(image.axes.split(","))
    axis = image.axes.split(",").index("3") - rank  # from the end
    outputs = {output.name for output in graph.output}
    while value not in outputs:
        readers = [node for node in graph.node if value in node.input]
        if len(readers) != 1 or readers[0].domain not in ("", "ai.onnx"):
            break
        (node,) = readers
        if node.op_type == "Transpose":
            axis = _moved(node, axis, rank)
        elif node.op_type in ("Add", "Sub", "Mul", "Div"):
            step = _arithmetic(node, value, constants, axis)
            if step is None:
                break
            found = found.then(node, list(node.input).index(value), *step)
        elif node.op_type not in ("Cast", "Identity"):
            break
        value = node.output[0]
    return found


def own_normalisation(found: FirstNodes, image: ImageInput) -> tuple[Normalisation, str] | None:
    """What the graph is to be fed with as its first nodes tell, and how they tell it."""
    if image.element == "uint8":
        return _AS_PIXELS, "pixels 0..255 as they are: the file takes uint8"
    if not found.nodes:
        return None
    gain, offset = float(np.abs(found.gain).max()), float(np.abs(found.offset).max())
    what = f"the graph computes {_shown(found)} of its input"
    if gain <= _GAIN_OF_PIXELS or (offset > _OFFSET_OF_PIXELS and gain < 2):
        return _AS_PIXELS, f"pixels 0..255 as they are: {what} by itself"
    if 0.5 <= gain <= 8 and offset <= 4:
        return Normalisation(), f"pixel/255: {what} by itself, which fits values of 0..1"
    return None


def _shown(found: FirstNodes) -> str:
    def numbers(values: Array) -> str:
        distinct = [*dict.fromkeys(f"{value:.4g}" for value in values)]
        return distinct[0] if len(distinct) == 1 else f"({', '.join(f'{v:.4g}' for v in values)})"

    added = f" + {numbers(found.offset)}" if found.offset.any() else ""
    return f"value x {numbers(found.gain)}{added}"


def _constants(graph: onnx.GraphProto) -> dict[str, Array]:
    """Small constants by name."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            tensors.update((node.output[0], a.t) for a in node.attribute if a.name == "value")
    return {
        name: numpy_helper.to_array(tensor).astype(np.float64)
        for name, tensor in tensors.items()
        if int(np.prod(tensor.dims)) <= 3
    }


def _moved(node: onnx.NodeProto, axis: int, rank: int) -> int:
    """Where the axis of the channels lies behind a Transpose, from the end."""
    backwards = list(range(rank))[::-1]
    perm = next((list(a.ints) for a in node.attribute if a.name == "perm"), backwards)
    return perm.index(len(perm) + axis) - len(perm)


def _arithmetic(
    node: onnx.NodeProto, value: str, constants: dict[str, Array], axis: int
) -> tuple[Array, Array] | None:
    """Gain and offset of a node of one constant; None if it is something else."""
    side = list(node.input).index(value)
    other = constants.get(node.input[1 - side])
    number = None if other is None else _per_channel(other, axis)
    if number is None:
        return None
    one, nothing = np.ones(3), np.zeros(3)
    if node.op_type == "Add":
        return one, number
    if node.op_type == "Sub":
        return (one, -number) if side == 0 else (-one, number)
    if node.op_type == "Mul" and number.all():
        return number, nothing
    if node.op_type == "Div" and side == 0 and number.all():
        return 1 / number, nothing
    return None


def _per_channel(value: Array, axis: int) -> Array | None:
    """Three numbers of a constant that is one number, or one for each channel."""
    if value.size == 1:
        return np.full(3, value.reshape(-1)[0])
    if value.ndim < -axis or value.shape[axis] != 3 or value.size != 3:
        return None
    return value.reshape(3)

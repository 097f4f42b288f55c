"""The teacher of `tcmonodepth.py` as a torch module, for batches on the training device.

It runs the nodes of the published file: onnx reads them, onnxruntime is not needed. Run it in
float32, outside autocast. The mean error of labels at 224 x 288 is 0.03 in bfloat16, too much for
labels, 0.004 in float16, and about 0.001 in TF32, cuDNN's default for float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx
import torch
import torch.nn.functional as F
from onnx import helper, numpy_helper
from torch import Tensor, nn

TEACHER_FILE = Path("models/tcmonodepth_small/model_192x320.onnx")
MULTIPLE = 32
"""Height and width must be multiples of this."""

Constants = dict[str, npt.NDArray[Any]]
_SHUFFLE = ("Reshape", "Transpose", "Reshape", "Split")
_RESIZE = {"mode": b"linear", "coordinate_transformation_mode": b"half_pixel"}


class TorchTeacher(nn.Module):
    """Relative inverse depth, about 0..1.4, larger is nearer; without gradients."""

    def __init__(self, data: Path) -> None:
        super().__init__()
        graph = onnx.load(str(data / TEACHER_FILE)).graph
        self._input, self._output = graph.input[0].name, graph.output[0].name
        self._layers = nn.ModuleList()
        self._steps: list[_Step] = []
        for layer, step in _read(graph):
            self._layers.append(layer)
            self._steps.append(step)
        _free_early(self._steps, keep=self._output)

    @torch.no_grad()
    def forward(self, pixels: Tensor) -> Tensor:
        """pixels: N,3,H,W RGB 0..255, H and W multiples of 32 -> N,H,W float32."""
        height, width = pixels.shape[2:]
        if height % MULTIPLE or width % MULTIPLE:
            raise ValueError(f"{height} x {width} pixels: both must be multiples of {MULTIPLE}")
        values = {self._input: pixels}
        for layer, step in zip(self._layers, self._steps, strict=True):
            results = layer(*[values[name] for name in step.inputs])
            values.update(zip(step.outputs, results, strict=True))
            for name in step.done:
                del values[name]
        return values[self._output][:, 0].float()


@dataclass(frozen=True)
class _Step:
    """Names of a layer's input and output tensors, and of those that no later layer reads."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    done: tuple[str, ...] = ()


class _Conv(nn.Module):
    """A convolution whose weights are buffers, so that no optimiser trains them."""

    weight: Tensor
    bias: Tensor

    def __init__(self, node: onnx.NodeProto, constants: Constants) -> None:
        super().__init__()
        given = _attributes(node)
        top, left, bottom, right = given["pads"]
        _expect(node, (top, left) == (bottom, right) and set(given["dilations"]) == {1})
        self._stride, self._padding = tuple(given["strides"]), (top, left)
        self._groups: int = given["group"]
        for name, constant in zip(("weight", "bias"), node.input[1:], strict=True):
            self.register_buffer(name, torch.from_numpy(constants[constant].copy()))

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (
            F.conv2d(x, self.weight, self.bias, self._stride, self._padding, groups=self._groups),
        )


class _Apply(nn.Module):
    """A layer without weights."""

    def __init__(self, function: Callable[..., tuple[Tensor, ...]]) -> None:
        super().__init__()
        self._function = function

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return self._function(*tensors)


def _read(graph: onnx.GraphProto) -> list[tuple[nn.Module, _Step]]:
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    layers: list[tuple[nn.Module, _Step]] = []
    nodes = list(graph.node)
    while nodes:
        count = len(_SHUFFLE) if nodes[0].op_type == _SHUFFLE[0] else 1
        taken, nodes = nodes[:count], nodes[count:]
        layer = _shuffle(taken, constants) if count > 1 else _layer(taken[0], constants)
        inputs = tuple(name for name in taken[0].input if name not in constants)
        layers.append((layer, _Step(inputs, tuple(taken[-1].output))))
    return layers


def _layer(node: onnx.NodeProto, constants: Constants) -> nn.Module:
    if node.op_type == "Conv":
        return _Conv(node, constants)
    if node.op_type == "Relu":  # in place: nothing else reads this convolution's output
        return _Apply(_relu)
    if node.op_type == "Concat":
        _expect(node, _attributes(node) == {"axis": 1})
        return _Apply(_concat)
    if node.op_type == "Div":
        return _Apply(partial(_divide, divisor=float(constants[node.input[1]])))
    _expect(node, node.op_type == "Resize")
    return _resize(node, constants)


def _resize(node: onnx.NodeProto, constants: Constants) -> nn.Module:
    """Every Resize doubles; the file gives a scale, or the size of the encoder's map."""
    given = _attributes(node)
    _expect(node, all(given[name] == value for name, value in _RESIZE.items()))
    if len(node.input) == 3:
        _expect(node, constants[node.input[2]].tolist() == [1, 1, 2, 2])
    return _Apply(_double)


def _shuffle(nodes: list[onnx.NodeProto], constants: Constants) -> nn.Module:
    """Channels N,2C -> the even ones and the odd ones, N,C each.

    The file does this for one image: [C,2,h*w], transposed to [2,C,h*w], then [2,C,h,w] split.
    """
    first, transpose, second, split = nodes
    _expect(first, tuple(node.op_type for node in nodes) == _SHUFFLE)
    for node, following in pairwise(nodes):
        _expect(following, following.input[0] == node.output[0])
    channels, pair, area = constants[first.input[1]].tolist()
    two, half, height, width = constants[second.input[1]].tolist()
    _expect(first, pair == 2)
    _expect(second, (two, half, height * width) == (2, channels, area))
    _expect(transpose, _attributes(transpose) == {"perm": [1, 0, 2]})
    _expect(split, _attributes(split) == {"axis": 0, "split": [1, 1]})
    return _Apply(_even_odd)


def _relu(x: Tensor) -> tuple[Tensor]:
    return (x.relu_(),)


def _concat(*tensors: Tensor) -> tuple[Tensor]:
    return (torch.cat(tensors, 1),)


def _divide(x: Tensor, divisor: float) -> tuple[Tensor]:
    return (x / divisor,)


def _double(x: Tensor) -> tuple[Tensor]:
    return (F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False),)


def _even_odd(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[:, 0::2], x[:, 1::2]


def _free_early(steps: list[_Step], keep: str) -> None:
    """Fill `done`, so that activations are freed as soon as no layer needs them."""
    seen = {keep}
    for index in range(len(steps) - 1, -1, -1):
        step = steps[index]
        done = tuple(dict.fromkeys(n for n in (*step.inputs, *step.outputs) if n not in seen))
        seen.update(done)
        steps[index] = replace(step, done=done)


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _expect(node: onnx.NodeProto, condition: bool) -> None:
    if not condition:
        raise ValueError(f"the teacher's file is not the one known: {node.op_type} {node.name}")

"""ONNX files of which it is known how they are to be fed and read."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn

from depthrt_export.proof.witness import COMMON, Reading
from depthrt_export.sources.network import Normalisation
from networks import meter_xxs, small_unet, tcmonodepth_small

_OPSET = 17
_TRUTH = {
    "tcmonodepth": Reading("0..255", "inverse-depth"),
    "meter-nyu": Reading("ImageNet", "depth"),
    "meter-kitti": Reading("pixel/255", "depth"),
}
NEAR_IMAGENET = Normalisation((0.45,) * 3, (0.225,) * 3)  # Monodepth2's


@dataclass(frozen=True, eq=False)
class Case:
    """A file; ``truth`` None: it sees nothing, so that nothing may be picked."""

    name: str
    family: str
    truth: Reading | None
    model: onnx.ModelProto

    def write(self, folder: Path) -> Path:
        path = folder / f"{self.name.replace(' ', '_').replace('/', '_')}.onnx"
        onnx.save(self.model, path)
        return path


def trained(data: Path) -> list[Case]:
    """The networks, METER with preprocessing inside, and twenty variants."""
    bases = {
        "tcmonodepth": onnx.load(data / "models/tcmonodepth_small/model_192x320.onnx"),
        "meter-nyu": _meter(data / "models/meter_xxs/nyu.pt", (192, 256)),
        "meter-kitti": _meter(data / "models/meter_xxs/kitti.pt", (128, 384)),
    }
    cases = [Case(name, name, _TRUTH[name], model) for name, model in bases.items()]
    for name in ("meter-nyu", "meter-kitti"):
        inside = fed_as(bases[name], COMMON["0..255"], COMMON[_TRUTH[name].normalisation])
        truth = Reading("0..255", "depth")
        cases.append(Case(f"{name}, preprocessing inside", name, truth, inside))
    for number, (name, model) in enumerate(bases.items()):
        own = _TRUTH[name]
        others = [how for how in COMMON if how != own.normalisation]
        for place, how in enumerate(others):  # every other one is turned round, too
            turn = (place + number) % 2 == 0
            changed = fed_as(model, COMMON[how], COMMON[own.normalisation])
            cases.append(_variant(name, how, changed, turn))
        cases.append(_variant(name, own.normalisation, model, True))
    mean = "0..255 less ImageNet's mean"
    caffe = fed_as(
        bases["meter-nyu"], COMMON[mean], COMMON[_TRUTH["meter-nyu"].normalisation], bgr=True
    )
    cases.append(
        Case("meter-nyu, BGR of 0..255 less mean", "meter-nyu", Reading(mean, "depth"), caffe)
    )
    near = fed_as(bases["tcmonodepth"], NEAR_IMAGENET, COMMON["0..255"])
    truth = Reading("ImageNet", "inverse-depth")  # the nearest of those that are tried
    cases.append(Case("tcmonodepth, mean .45 std .225", "tcmonodepth", truth, near))
    return cases


def blind() -> list[Case]:
    """Networks that see nothing of depth."""
    cases = []
    for seed in range(3):
        modules: dict[str, tuple[Callable[[], nn.Module], tuple[int, int]]] = {
            "METER": (meter_xxs.meter, (192, 256)),
            "TCMonoDepth": (tcmonodepth_small.tcmonodepth_small, (192, 320)),
            "U-Net": (small_unet.SmallUNet, (192, 256)),
            "one convolution": (_convolution, (192, 256)),
        }
        for name, (make, size) in modules.items():
            torch.manual_seed(seed)
            module = make()
            _draw(module, seed)
            cases.append(Case(f"{name}, random {seed}", "blind", None, _graph(module, size)))
    for name, module in (("ramp", Ramp()), ("brightness", Brightness()), ("blue", Blue())):
        cases.append(Case(name, "blind", None, _graph(module, (192, 256))))
    return cases


class Ramp(nn.Module):
    """Nearer below, whatever the picture shows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = torch.linspace(0, 1, x.shape[2]).reshape(1, 1, -1, 1)
        return rows + 0 * x.mean(1, keepdim=True)


class Brightness(nn.Module):
    """Bright is near."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(1, keepdim=True)


class Blue(nn.Module):
    """What is bluer than red is far, as skies are, and so is what is higher up."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = torch.linspace(0, 1, x.shape[2]).reshape(1, 1, -1, 1)
        return x[:, :1] - x[:, 2:] + rows


def fed_as(
    model: onnx.ModelProto, how: Normalisation, own: Normalisation, *, bgr: bool = False
) -> onnx.ModelProto:
    """The graph for pixels of ``how``, which undoes it and applies its own."""
    model = _copy(model)
    graph, image = model.graph, model.graph.input[0].name
    gain = np.array(own.scale) / how.scale * np.array(how.std) / np.array(own.std)
    offset = (np.array(own.scale) / how.scale * np.array(how.mean) - own.mean) / np.array(own.std)
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name == image:
                node.input[i] = "as_trained"
    steps, value = [], image
    if bgr:
        value = "channels_turned"
        order = numpy_helper.from_array(np.array([2, 1, 0], np.int64), "turned_order")
        graph.initializer.append(order)
        steps.append(helper.make_node("Gather", [image, "turned_order"], [value], axis=1))
    for name, numbers in (("own_gain", gain), ("own_offset", offset)):
        shaped = np.broadcast_to(numbers, 3).astype(np.float32).reshape(1, 3, 1, 1)
        graph.initializer.append(numpy_helper.from_array(shaped, name))
    steps.append(helper.make_node("Mul", [value, "own_gain"], ["own_scaled"]))
    steps.append(helper.make_node("Add", ["own_scaled", "own_offset"], ["as_trained"]))
    nodes = [*steps, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def turned(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph whose depth is the reciprocal: near for far."""
    model = _copy(model)
    graph, depth = model.graph, model.graph.output[0].name
    for node in graph.node:
        for i, name in enumerate(node.output):
            if name == depth:
                node.output[i] = "as_it_was"
    for name, number in (("turned_least", 1e-2), ("turned_one", 1.0)):
        graph.initializer.append(numpy_helper.from_array(np.float32(number), name))
    graph.node.append(helper.make_node("Max", ["as_it_was", "turned_least"], ["turned_positive"]))
    graph.node.append(helper.make_node("Div", ["turned_one", "turned_positive"], [depth]))
    return model


def _variant(name: str, how: str, model: onnx.ModelProto, turn: bool) -> Case:
    direction = _TRUTH[name].direction
    if turn:
        model = turned(model)
        direction = "depth" if direction == "inverse-depth" else "inverse-depth"
    title = f"{name}, {how}" + (", turned round" if turn else "")
    return Case(title, name, Reading(how, direction), model)


def _meter(weights: Path, size: tuple[int, int]) -> onnx.ModelProto:
    module = meter_xxs.meter()
    module.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return _graph(module, size)


def _graph(module: nn.Module, size: Sequence[int]) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder) / "graph.onnx"
        warnings.simplefilter("ignore")  # the older exporter is quicker
        torch.onnx.export(
            module.eval(),
            (torch.rand(1, 3, *size),),
            path,
            input_names=["image"],
            output_names=["depth"],
            opset_version=_OPSET,
            dynamo=False,
        )
        return onnx.load(path)


def _draw(module: nn.Module, seed: int) -> None:
    """He's rule: PyTorch's own weights let maps die away from layer to layer."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            part.weight.data.normal_(0, (2 / part.weight[0].numel()) ** 0.5, generator=generator)


def _convolution() -> nn.Module:
    return nn.Sequential(nn.AvgPool2d(9, 4, 4), nn.Conv2d(3, 1, 7, padding=3))


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied

"""Networks that quantise in different ways, with random weights of trained-like scale.

Weights are drawn by He's rule with batch norms folded away: maps keep their size from layer to
layer and no channel is dead. A trained network has wider ranges between channels; the built-in one
and TCMonoDepth-small stand for those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_OUTLIER, _OUTLIERS = 30.0, 4
_ATTENTION_INPUTS = ("query", "key", "value", "q_proj", "k_proj", "v_proj")
_BRANCH = 0.3  # of a residual branch: at 1, depth would be noise that any rounding changes


def _conv(i: int, o: int, k: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(i, o, k, stride, k // 2, groups=groups)


class Inverted(nn.Module):
    """EfficientNet-lite's block: expand 6, depthwise k, project; ReLU6, no squeeze-excite."""

    def __init__(self, i: int, o: int, k: int, stride: int) -> None:
        super().__init__()
        wide = i * 6
        self.expand, self.depthwise = _conv(i, wide, 1), _conv(wide, wide, k, stride, wide)
        self.project = _conv(wide, o, 1)
        self.skip = stride == 1 and i == o

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(F.relu6(self.depthwise(F.relu6(self.expand(x)))))
        return x + y if self.skip else y


class MiDaSLike(nn.Module):
    """MiDaS-small's plan (Ranftl et al., TPAMI 2022): EfficientNet-lite3, RefineNet of 64 wide."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(3, 32, 3, 2), nn.ReLU6(), _conv(32, 24, 1))
        plan = (((32, 3, 2, 3),), ((48, 5, 2, 3),), ((96, 3, 2, 5), (136, 5, 1, 5)),
                ((232, 5, 2, 6), (384, 3, 1, 1)))  # fmt: skip
        stages, width = [], 24
        for stage in plan:
            layers: list[nn.Module] = []
            for o, k, stride, count in stage:
                for n in range(count):
                    layers.append(Inverted(width, o, k, stride if n == 0 else 1))
                    width = o
            stages.append(nn.Sequential(*layers))
        self.stages = nn.ModuleList(stages)
        self.laterals = nn.ModuleList([_conv(c, 64, 3) for c in (32, 48, 136, 384)])
        self.fuse = nn.ModuleList([Refine(64) for _ in range(4)])
        self.head = nn.Sequential(_conv(64, 32, 3), nn.ReLU(), _conv(32, 32, 3), nn.ReLU())
        self.depth = _conv(32, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        maps = []
        x = self.stem(x)
        for stage, lateral in zip(self.stages, self.laterals, strict=True):
            x = stage(x)
            maps.append(lateral(x))
        y = self.fuse[3](maps[3])
        for level in (2, 1, 0):
            y = self.fuse[level](_twice(y) + maps[level])
        return F.relu(self.depth(_twice(self.head(_twice(y)))) + 1).squeeze(1)


class Refine(nn.Module):
    """A residual unit of two 3x3 convolutions and a 1x1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a, self.b, self.out = (
            _conv(width, width, 3),
            _conv(width, width, 3),
            _conv(width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x + self.b(F.relu(self.a(F.relu(x)))))  # type: ignore[no-any-return]


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear")


class SqueezeExcite(nn.Module):
    """Hu et al., CVPR 2018, with a hard sigmoid as in MobileNetV3."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down, self.up = _conv(width, width // 4, 1), _conv(width // 4, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = x.mean((2, 3), keepdim=True)
        return x * F.hardsigmoid(self.up(F.relu(self.down(y))))


class UNet(nn.Module):
    """Four levels of two 3x3 convolutions, 16 to 128 wide, skips concatenated."""

    def __init__(self, hard_swish: bool) -> None:
        super().__init__()
        widths = (16, 32, 64, 128)

        def pair(i: int, o: int, stride: int) -> nn.Sequential:
            act = nn.Hardswish if hard_swish else nn.ReLU6
            layers = [_conv(i, o, 3, stride), act(), _conv(o, o, 3), act()]
            return nn.Sequential(*layers, *([SqueezeExcite(o)] if hard_swish else []))

        self.down = nn.ModuleList(
            [pair(i, o, 2) for i, o in zip((3, *widths), widths, strict=False)]
        )
        self.up = nn.ModuleList([pair(a + b, b, 1) for a, b in ((128, 64), (64, 32), (32, 16))])
        self.depth = _conv(16, 1, 3)

    def forward(self, x: Tensor) -> Tensor:
        maps = []
        for level in self.down:
            x = level(x)
            maps.append(x)
        for level, skip in zip(self.up, maps[-2::-1], strict=True):
            x = level(torch.cat([_twice(x), skip], 1))
        return F.relu(_twice(self.depth(x)) + 1).squeeze(1)


def _drawn(network: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.normal_(0, (2 / module.weight[0].numel()) ** 0.5, generator=generator)
                if module.out_channels == 1:
                    module.weight.abs_()  # depth of many maps, not the difference of two
                if module.bias is not None:
                    module.bias.normal_(0, 0.05, generator=generator)
        for module in network.modules():
            if isinstance(module, Inverted) and module.skip:
                module.project.weight *= _BRANCH
    return network


def midas_like() -> nn.Module:
    return _drawn(MiDaSLike())


def unet_relu6() -> nn.Module:
    return _drawn(UNet(hard_swish=False))


def unet_hard_swish() -> nn.Module:
    return _drawn(UNet(hard_swish=True))


@torch.no_grad()
def add_outliers(model: Any) -> None:
    """Outlier channels in front of every product, the function unchanged: as trained ViTs have."""
    for layer in model.backbone.encoder.layer:
        linear = {n: m for n, m in layer.attention.named_modules() if isinstance(m, nn.Linear)}
        inputs = [m for n, m in linear.items() if n.rpartition(".")[2] in _ATTENTION_INPUTS]
        pairs: Sequence[tuple[Any, list[Any]]] = (
            (layer.norm1, inputs),
            (layer.norm2, [layer.mlp.fc1]),
        )
        for norm, readers in pairs:
            norm.weight[:_OUTLIERS] *= _OUTLIER
            norm.bias[:_OUTLIERS] *= _OUTLIER
            for reader in readers:
                reader.weight[:, :_OUTLIERS] /= _OUTLIER

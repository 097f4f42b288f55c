"""A small trained-looking network that gives everything: a dict, as many repositories return it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DEPTHRT = {"kind": "inverse-depth", "size": (48, 64), "licence": "MIT"}


class FullOutput(nn.Module):
    """Normalised pixels N,3,H,W to depth, confidence, validity, normals and angle of view.

    ``half``: everything beside depth has half the picture's size; ``names`` of the outputs.
    """

    def __init__(self, names: dict[str, str] | None = None, *, half: bool = False) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.names, self.half = names or {}, half
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())
        self.depth = nn.Conv2d(16, 1, 3, padding=1)
        self.beside = nn.Conv2d(16, 4, 3, padding=1)

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        features = self.body(self.stem(pixels))
        beside = self.beside(F.avg_pool2d(features, 2) if self.half else features)
        seen = F.avg_pool2d(pixels, 2) if self.half else pixels
        outputs = {
            "depth": 2 + self.depth(features) + pixels.mean(dim=1, keepdim=True),
            "confidence": torch.sigmoid(beside[:, :1]),
            "valid": seen[:, 2] < 0.6,
            "normals": 3 * beside[:, 1:] + torch.tensor([0.0, 0.0, -2.0]).reshape(1, 3, 1, 1),
            "fov_deg": 60 + 10 * pixels.mean(dim=(1, 2, 3)),
        }
        return {self.names.get(name, name): each for name, each in outputs.items()}


class WithoutSky(FullOutput):
    """Depth that is NaN where it is not valid."""

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        outputs = super().forward(pixels)
        outputs["depth"] = outputs["depth"].where(outputs["valid"].unsqueeze(1), torch.nan)
        return outputs


def build() -> nn.Module:
    """All outputs by the names of the contract."""
    return FullOutput()


def build_half() -> nn.Module:
    """All outputs, those beside depth at half the size."""
    return FullOutput(half=True)


def build_renamed() -> nn.Module:
    """All outputs by other names."""
    names = {"confidence": "conf", "valid": "mask", "normals": "normal", "fov_deg": "fov"}
    return FullOutput(names)


def build_without_sky() -> nn.Module:
    """NaN where depth is not valid."""
    return WithoutSky()

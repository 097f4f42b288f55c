"""A small U-Net with fixed random weights, for tests that need no trained network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DEPTHRT = {
    "name": "small-unet",
    "kind": "inverse-depth",
    "size": (64, 96),
    "multiple_of": 4,
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
    "licence": "Apache-2.0",
}


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class SmallUNet(nn.Module):
    """Normalised pixels N,3,H,W to N,1,H,W; H and W multiples of 4."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = _block(3, 8)
        self.middle = _block(8, 16, 2)
        self.coarse = _block(16, 32, 2)
        self.up_middle = _block(48, 16)
        self.up_fine = _block(24, 8)
        self.head = nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.fine(x)
        middle = self.middle(fine)
        y = self.coarse(middle)
        y = self.up_middle(
            torch.cat([F.interpolate(y, scale_factor=2.0, mode="bilinear"), middle], 1)
        )
        y = self.up_fine(torch.cat([F.interpolate(y, scale_factor=2.0, mode="bilinear"), fine], 1))
        return F.relu(self.head(y) + 1.0)


def small_unet() -> nn.Module:
    """The same weights every time, without touching the caller's random numbers."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = SmallUNet()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.2, 0.2)
                nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    return network

"""A network of your own, as `depthrt export own_network.py:build` wants to find it.

own_network_to_int8.py trains it, exports it and runs it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# What `depthrt export` cannot know. Each has an option of the same name, which wins.
DEPTHRT = {
    "kind": "inverse-depth",  # larger is nearer; or "depth", or "metric" for metres
    "size": (96, 128),  # height and width
    "scale": 1 / 255,  # the network's input is (pixel x scale - mean) / std: as in training
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
    "licence": "Apache-2.0",
}


def step(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class OwnNetwork(nn.Module):
    """Normalised pixels N,3,H,W to inverse depth N,1,H,W."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(step(3, 16, 2), step(16, 32, 2), step(32, 64, 2), step(64, 64, 1))
        self.head = nn.Conv2d(64, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.head(self.body(x))
        return torch.relu(nn.functional.interpolate(y, scale_factor=8.0, mode="bilinear"))


def build() -> nn.Module:
    """The network without its weights; `--checkpoint` brings those."""
    return OwnNetwork()

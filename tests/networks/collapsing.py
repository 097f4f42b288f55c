"""A network that sees nothing any more in plain int8, and does with one block in float."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_LOUD = 400.0  # one channel this many times as large as the rest


class Loud(nn.Module):
    """Adds a channel with a huge range ahead of a convolution that barely listens to it.

    One scale for all channels leaves the quiet ones, which carry the picture, less than a level.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(channels, channels, 3, padding=1)
        self.listen = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.listen(torch.relu(self.expand(x))))


class Collapsing(nn.Module):
    """Seven plain blocks and a loud one; N,3,H,W to N,H,W."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, channels, 3, 2, 1), nn.ReLU())
        plain = [
            nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU()) for _ in range(4)
        ]
        self.blocks = nn.ModuleList([*plain[:2], Loud(channels), *plain[2:]])
        self.head = nn.Conv2d(channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        for block in self.blocks:
            y = block(y)
        return torch.relu(self.head(y) + 1).squeeze(1)


def collapsing() -> nn.Module:
    """The same weights every time, without touching the caller's random numbers."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(3)
        network = Collapsing()
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                nn.init.uniform_(module.bias, 0.0, 0.2)  # type: ignore[arg-type]
        loud = network.blocks[2]
        assert isinstance(loud, Loud)
        loud.expand.weight[0] *= _LOUD
        loud.listen.weight[:, 0] /= _LOUD * 50
    return network

"""Networks whose depth of a picture depends on more than the picture, and some that look so."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DEPTHRT = {"kind": "inverse-depth", "size": (64, 96)}


class Plain(nn.Module):
    """Two convolutions: nothing but the picture."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first = nn.Conv2d(3, 8, 3, padding=1)
            self.head = nn.Conv2d(8, 1, 3, padding=1)

    def body(self, x: Tensor) -> Tensor:
        depth: Tensor = self.head(torch.relu(self.first(x)))
        return depth

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.body(x))

    def after(self, depth: Tensor) -> Tensor:
        return depth


class MinMax(Plain):
    def after(self, depth: Tensor) -> Tensor:
        return (depth - depth.min()) / (depth.max() - depth.min())


class SlightMean(Plain):
    """Less than half a percent of the spread."""

    def after(self, depth: Tensor) -> Tensor:
        return depth - 0.005 * depth.mean(0, keepdim=True)


class BatchNormOfTheBatch(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1, track_running_stats=False)

    def after(self, depth: Tensor) -> Tensor:
        normed: Tensor = self.norm(depth)
        return normed


class Rolled(Plain):
    def after(self, depth: Tensor) -> Tensor:
        return torch.roll(depth, 1, 0)


class Position(Plain):
    def after(self, depth: Tensor) -> Tensor:
        return depth * (1 + torch.arange(depth.shape[0]).reshape(-1, 1, 1, 1))


class Summed(Plain):
    def after(self, depth: Tensor) -> Tensor:
        return torch.cumsum(depth, 0)


class LastOnly(Plain):
    def after(self, depth: Tensor) -> Tensor:
        return torch.cat([depth[:-1], depth[-1:] * 1.02])


class FromThreeOn(Plain):
    """Alone and in pairs it behaves."""

    def after(self, depth: Tensor) -> Tensor:
        more = torch.clamp(torch.tensor(float(depth.shape[0])) - 2, min=0)
        return depth * (1 + 0.01 * more)


class Dropping(Plain):
    def body(self, x: Tensor) -> Tensor:
        return super().body(F.dropout(x, 0.1, training=True))


class Kept(Plain):
    """An average over all pictures so far, that moves slowly."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))

    def after(self, depth: Tensor) -> Tensor:
        self.mean.mul_(0.9999).add_(0.0001 * depth.mean())
        return depth - self.mean


class Smoothed(Plain):
    """An attribute that no state dict holds."""

    last: Tensor | None = None

    def after(self, depth: Tensor) -> Tensor:
        before, self.last = self.last, depth.detach()
        return depth if before is None else 0.9 * depth + 0.1 * before


class Counting(Plain):
    """It keeps a number that the depth does not depend on."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def after(self, depth: Tensor) -> Tensor:
        self.calls.add_(1)
        return depth


class OfEachPicture(Plain):
    """Minimum and maximum of every picture alone."""

    def after(self, depth: Tensor) -> Tensor:
        low, high = depth.amin((1, 2, 3), keepdim=True), depth.amax((1, 2, 3), keepdim=True)
        return (depth - low) / (high - low)


class PerPixel(Plain):
    """A product with constant weights, which dynamic quantisation takes."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.mix = nn.Linear(8, 8)

    def body(self, x: Tensor) -> Tensor:
        features = self.mix(torch.relu(self.first(x)).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        depth: Tensor = self.head(features)
        return depth

"""A network that sees as the built-in model does, if it is fed in one way."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from depthrt.model.depth_model import DepthModel
from depthrt_export.sources.network import Normalisation


class SeesAsTheBuiltIn(nn.Module):
    """The built-in model's depth, if pixels come as ``how`` says; else of what they look like."""

    def __init__(self, how: Normalisation) -> None:
        super().__init__()
        self.how, self.model = how, DepthModel.load("depthrt-s", provider="cpu")

    def forward(self, x: Tensor) -> Tensor:
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (self.how.mean, self.how.std))
        pixels = ((x * std + mean) / self.how.scale).clamp(0, 255).byte().numpy()
        return torch.from_numpy(self.model.infer(pixels))

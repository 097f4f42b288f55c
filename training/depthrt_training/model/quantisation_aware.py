"""Quantisation-aware training: the forward pass uses the weights that an int8 file will hold.

Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", CVPR 2018, section 3: the forward pass rounds, the backward pass ignores the rounding.
Only weights are rounded here: 8-bit activations cost this network no accuracy.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from depthrt_training.model.network import DepthNet


class Forward(nn.Module):
    """The network's outputs for training: signed depth, at half or full resolution."""

    def __init__(self, network: DepthNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor, full: bool) -> Tensor:
        """pixels: N,3,H,W normalised -> N,H,W, or N,H/2,W/2 unless `full`."""
        return self.network.signed(pixels) if full else self.network.half_resolution(pixels)


def predict(network: DepthNet, pixels: Tensor, full: bool, weight_bits: int) -> Tensor:
    """Signed depth with weights rounded to `weight_bits`; 0: not rounded (see `Forward`)."""
    forward = Forward(network)
    if not weight_bits:
        return forward(pixels, full)  # type: ignore[no-any-return]
    last = f"head.{len(network.head) - 1}."  # stays float in the exported file
    rounded = {
        f"network.{name}": round_weights(value, weight_bits)
        for name, value in network.named_parameters()
        if value.dim() == 4 and not name.startswith(last)
    }
    return functional_call(forward, rounded, (pixels, full))  # type: ignore[no-any-return]


def round_weights(weight: Tensor, bits: int) -> Tensor:
    """O,I,h,w rounded per output channel to -2^(bits-1)..2^(bits-1); the gradient passes through.

    The grid of onnxruntime's quantiser: symmetric, the largest weight of a channel is a level.
    """
    levels = 2 ** (bits - 1) - (1 if bits == 8 else 0)
    with torch.no_grad():
        scale = weight.abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12) / levels
        error = torch.round(weight / scale) * scale - weight
    rounded: Tensor = weight + error
    return rounded

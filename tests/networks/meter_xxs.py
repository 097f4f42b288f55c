"""METER-xxs as a user would bring it to ``depthrt export``: two trained networks, nyu and kitti.

Papa, Russo and Amerini, "METER: a mobile vision transformer architecture for monocular depth
estimation", IEEE Transactions on Circuits and Systems for Video Technology, 2023. Written from the
names and shapes in the authors' state dicts. Weights are not part of this file, and it says nothing
of kind, size or normalisation.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Separable(nn.Module):
    """A full convolution 3x3 and one of 1x1."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.pointwise = nn.Conv2d(outputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))  # type: ignore[no-any-return]


def _normed(conv: nn.Module, width: int) -> nn.Sequential:
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU())


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, bias=False)


class Inverted(nn.Module):
    """An inverted residual that doubles its channels."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        inner = 2 * inputs
        self.conv = nn.Sequential(
            *_normed(_conv(inputs, inner), inner),
            *_normed(nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False), inner),
            _conv(inner, outputs),
            nn.BatchNorm2d(outputs),
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.adds else y


class Attention(nn.Module):
    """Four heads of eight."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_qkv = nn.Linear(width, 96, bias=False)
        self.to_out = nn.Sequential(nn.Linear(32, width), nn.Dropout(0.0))

    def forward(self, x: Tensor) -> Tensor:  # b,4,tokens,width
        parts = self.to_qkv(x).chunk(3, dim=-1)
        q, k, v = (p.reshape(*p.shape[:3], 4, 8).transpose(2, 3) for p in parts)
        weights = (q @ k.transpose(-1, -2) * 8**-0.5).softmax(-1)
        return self.to_out((weights @ v).transpose(2, 3).flatten(3))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(0.0), nn.Linear(hidden, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)  # type: ignore[no-any-return]


class PreNorm(nn.Module):
    def __init__(self, width: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm, self.fn = nn.LayerNorm(width), fn

    def forward(self, x: Tensor) -> Tensor:
        return x + self.fn(self.norm(x))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        layer = (PreNorm(width, Attention(width)), PreNorm(width, FeedForward(width, hidden)))
        self.layers = nn.ModuleList([nn.ModuleList(layer)])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            for part in layer:  # type: ignore[attr-defined]
                x = part(x)
        return x


class MobileBlock(nn.Module):
    """Convolution, attention within each of the four phases of 2x2 patches, and the input again."""

    def __init__(self, channels: int, width: int, hidden: int) -> None:
        super().__init__()
        self.conv1 = _normed(Separable(channels, channels), channels)
        self.conv2 = _normed(_conv(channels, width), width)
        self.transformer = Transformer(width, hidden)
        self.conv3 = _normed(_conv(width, channels), channels)
        self.conv4 = _normed(Separable(2 * channels, channels), channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x))
        b, d, h, w = y.shape
        tokens = y.reshape(b, d, h // 2, 2, w // 2, 2).permute(0, 3, 5, 2, 4, 1)
        seen = self.transformer(tokens.reshape(b, 4, h * w // 4, d))
        back = seen.reshape(b, 2, 2, h // 2, w // 2, d).permute(0, 5, 3, 1, 4, 2)
        z = self.conv3(back.reshape(b, d, h, w))
        return self.conv4(torch.cat((z, x), 1))  # type: ignore[no-any-return]


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _normed(Separable(3, 16, 2), 16)
        widths = ((16, 16, 1), (16, 24, 2), (24, 24, 1), (24, 24, 1), (24, 48, 2), (48, 64, 2),
                  (64, 80, 2))  # fmt: skip
        self.mv2 = nn.ModuleList([Inverted(*width) for width in widths])
        self.mvit = nn.ModuleList(
            [MobileBlock(48, 64, 128), MobileBlock(64, 80, 320), MobileBlock(80, 96, 384)]
        )
        self.conv2 = _normed(_conv(80, 160), 160)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        y1 = self.mv2[1](self.mv2[0](self.conv1(x)))
        y2 = self.mv2[4](self.mv2[3](self.mv2[2](y1)))
        y3 = self.mv2[5](self.mvit[0](y2))
        y = self.mvit[2](self.mv2[6](self.mvit[1](y3)))
        return self.conv2(y), y1, y2, y3


class Up(nn.Module):
    def __init__(self, inputs: int, outputs: int, skip: int) -> None:
        super().__init__()
        self.conv2d_transpose = nn.ConvTranspose2d(
            inputs, outputs, 3, 2, 1, output_padding=1, bias=False
        )
        self.end_up_layer = nn.Sequential(Separable(outputs + skip, outputs), nn.ReLU())

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        y = torch.cat((self.conv2d_transpose(x), skip), 1)
        return self.end_up_layer(y)  # type: ignore[no-any-return]


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv2d_in = _conv(160, 64)
        self.ups_block_1, self.ups_block_2 = Up(64, 32, 64), Up(32, 16, 48)
        self.ups_block_3 = Up(16, 8, 24)
        self.conv2d_out = nn.Conv2d(8, 1, 3, 1, 1, bias=False)

    def forward(self, x: Tensor, y1: Tensor, y2: Tensor, y3: Tensor) -> Tensor:
        x = self.ups_block_1(self.conv2d_in(x), y3)
        x = self.ups_block_3(self.ups_block_2(x, y2), y1)
        return self.conv2d_out(x)  # type: ignore[no-any-return]


class Meter(nn.Module):
    """Pixels N,3,H,W (multiples of 64) to depth N,1,H/4,W/4, larger is farther."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(*self.encoder(x))  # type: ignore[no-any-return]


def meter() -> Meter:
    """METER-xxs without its weights."""
    return Meter()

"""TCMonoDepth-small: a light video-depth network, as a user would bring it to ``depthrt export``.

Li, Luo and Xu, "Enforcing Temporal Consistency in Video Depth Estimation", ICCV Workshops 2021.
The encoder is ShuffleNetV2-0.5x (Ma et al., ECCV 2018) without its pooling after the first
convolution; the decoder is a U-Net of depthwise separable convolutions. Written from the names in
the authors' checkpoint and the shapes in its ONNX conversion. Weights are not part of this file.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# What ``depthrt export`` need not be told again.
DEPTHRT = {
    "name": "tcmonodepth-small",
    "kind": "inverse-depth",
    "size": (192, 320),
    "multiple_of": 16,
    "scale": 1 / 255,
    "licence": "MIT",
}


def _conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


class ShuffleUnit(nn.Module):
    """One unit of ShuffleNetV2; stride 2 doubles the channels and halves the size."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.branch_main = nn.Sequential(
            *_conv(width, width, 1),
            nn.ReLU(),
            *_conv(width, width, 3, stride, groups=width),
            *_conv(width, width, 1),
            nn.ReLU(),
        )
        if stride == 2:
            self.branch_proj = nn.Sequential(
                *_conv(width, width, 3, stride, groups=width), *_conv(width, width, 1), nn.ReLU()
            )

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 2:
            return torch.cat([self.branch_proj(x), self.branch_main(x)], 1)
        kept, worked = x.unflatten(1, (-1, 2)).unbind(2)  # even and odd channels
        return torch.cat([kept, self.branch_main(worked)], 1)


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first_conv = nn.Sequential(*_conv(3, 24, 3, 2), nn.ReLU())
        plan = ((24, 4), (48, 8), (96, 4))  # width of a branch, units
        self.features = nn.Sequential(
            *(ShuffleUnit(width, 2 if i == 0 else 1) for width, n in plan for i in range(n))
        )
        # The checkpoint names these units a second time.
        self.stage1 = self.features[:4]
        self.stage2 = self.features[4:12]
        self.stage3 = self.features[12:]

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = [self.first_conv(x)]
        for stage in (self.stage1, self.stage2, self.stage3):
            maps.append(stage(maps[-1]))
        return maps  # 24, 48, 96, 192 channels at 1/2, 1/4, 1/8, 1/16


class SeparableConv(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        depthwise = _conv(inputs, inputs, 3, groups=inputs)
        pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.conv = nn.Sequential(*depthwise, nn.ReLU(), pointwise)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)  # type: ignore[no-any-return]


class DecoderBlock(nn.Module):
    def __init__(self, inputs: int, skip: int) -> None:
        super().__init__()
        self.skip_conv = nn.Sequential(*_conv(skip, skip // 2, 1), nn.ReLU())
        self.last_conv = nn.Sequential(
            SeparableConv(inputs + skip // 2, skip), nn.BatchNorm2d(skip), nn.ReLU()
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        skip = self.skip_conv(skip)
        x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
        return self.last_conv(torch.cat([x, skip], 1))  # type: ignore[no-any-return]


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.decoder3 = DecoderBlock(192, 96)
        self.decoder2 = DecoderBlock(96, 48)
        self.decoder1 = DecoderBlock(48, 24)
        self.final = nn.Conv2d(24, 1, 3, padding=1)
        # Coarser outputs, used in training alone.
        self.final2 = nn.Sequential(nn.Conv2d(48, 1, 3, padding=1))
        self.final3 = nn.Sequential(nn.Conv2d(96, 1, 3, padding=1))

    def forward(self, maps: list[Tensor]) -> Tensor:
        x = self.decoder3(maps[3], maps[2])
        x = self.decoder2(x, maps[1])
        x = self.decoder1(x, maps[0])
        depth = F.relu(self.final(x))
        return F.interpolate(depth, scale_factor=2.0, mode="bilinear", align_corners=False)


class TCMonoDepthSmall(nn.Module):
    """RGB in 0..1, N,3,H,W, to relative inverse depth, N,1,H,W; H and W multiples of 16."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.decoder = Decoder()

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))  # type: ignore[no-any-return]


def tcmonodepth_small() -> nn.Module:
    return TCMonoDepthSmall()

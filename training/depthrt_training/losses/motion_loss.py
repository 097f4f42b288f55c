"""Losses on two frames of a clip: depth must not flicker, and must explain the flow.

Images are N,3,H,W float, 0..255. `camera_motion.py` says how depth, flow, masks and cameras are
given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from depthrt_training.losses.camera_motion import (
    MIN_RESIDUAL_PX,
    RigidMotion,
    rigid_motion,
    static_mask,
)
from depthrt_training.losses.depth_loss import masked_mean, target_spread

DEAD_ZONE = 0.01
"""A change of depth below this share of its spread costs nothing."""

_MIN_SHARE = 0.05  # of an image's pixels; with fewer usable pixels the image is left out


@dataclass(frozen=True)
class PairBatch:
    """first, second: N,3,H,W; flow N,2,H,W; valid N,H,W bool; camera N,4.

    near: N bool, whether the frames are so close in time that depth hardly changes.
    """

    first: Tensor
    second: Tensor
    flow: Tensor
    valid: Tensor
    camera: Tensor
    near: Tensor

    def to(self, device: torch.device) -> PairBatch:
        """The same on another device."""
        return PairBatch(*(tensor.to(device) for tensor in self._tensors()))

    def halved(self) -> PairBatch:
        """The same at half resolution; valid where all four pixels were."""
        valid = F.avg_pool2d(self.valid[:, None].float(), 2)[:, 0] > 0.99
        first, second, flow = (F.avg_pool2d(x, 2) for x in (self.first, self.second, self.flow))
        return PairBatch(first, second, flow / 2, valid, self.camera / 2, self.near)

    @staticmethod
    def joined(parts: list[PairBatch]) -> PairBatch:
        """Several batches of one size as one."""
        columns = zip(*(part._tensors() for part in parts), strict=True)
        return PairBatch(*(torch.cat(column) for column in columns))

    def _tensors(self) -> tuple[Tensor, ...]:
        return self.first, self.second, self.flow, self.valid, self.camera, self.near


class MotionTerms(NamedTuple):
    """Scalar losses; 0 where no pixel is usable."""

    temporal: Tensor
    photometric: Tensor
    flow: Tensor


def motion_terms(p0: Tensor, p1: Tensor, batch: PairBatch, rigid_too: bool = True) -> MotionTerms:
    """The losses of the p of both frames, N,H,W each, on the batch's grid.

    rigid_too: also compute the photometric and the flow loss, which take most of the time.
    """
    temporal = temporal_loss(p0, p1, batch.flow, batch.valid & batch.near[:, None, None])
    if not rigid_too:
        return MotionTerms(temporal, p0.new_zeros(()), p0.new_zeros(()))
    rigid = rigid_motion(p0, batch.flow, batch.valid, batch.camera)
    static = static_mask(rigid.residual, batch.valid) & rigid.parallax[:, None, None]
    return MotionTerms(
        temporal,
        photometric_loss(batch.first, batch.second, rigid.flow, batch.valid, static),
        flow_loss(rigid, batch.flow, static),
    )


def warp(values: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """Values (N,C,H,W) of the second frame, sampled bilinearly where the flow leads.

    Also N,H,W bool: whether that position lies inside the image.
    """
    height, width = values.shape[2:]
    rows = torch.arange(height, device=flow.device)[:, None] + flow[:, 1]
    columns = torch.arange(width, device=flow.device) + flow[:, 0]
    inside = (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)
    grid = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], dim=-1)
    moved = F.grid_sample(values, grid, padding_mode="border", align_corners=False)
    return moved, inside.detach()


def temporal_loss(p0: Tensor, p1: Tensor, flow: Tensor, valid: Tensor) -> Tensor:
    """Mean of |p1 seen from the first frame - p0| over p0's spread, beyond `DEAD_ZONE`.

    After the temporal loss of Lai et al., "Learning Blind Video Temporal Consistency", ECCV 2018.
    Scale and shift are not aligned: raw output must not flicker. Depth that truly changes between
    neighbouring frames, as it does where the camera draws near, costs a little as well.
    """
    moved, inside = warp(p1[:, None], flow)
    usable = valid & inside
    spread = target_spread(p0.detach(), usable)
    return _mean_of_usable(((moved[:, 0] - p0).abs() / spread - DEAD_ZONE).relu(), usable)


def photometric_loss(
    image0: Tensor, image1: Tensor, rigid_flow: Tensor, valid: Tensor, static: Tensor
) -> Tensor:
    """Mean of 0.85 (1 - SSIM) / 2 + 0.15 L1 between the first frame and the second seen from it.

    Godard et al., "Digging Into Self-Supervised Monocular Depth Estimation" (Monodepth2), ICCV
    2019, with its automatic mask: where the unmoved second frame matches better, that error counts,
    which has no gradient. static: see `static_mask`; all False for a pair without parallax.
    """
    first, second = image0 / 255, image1 / 255
    moved, inside = warp(second, rigid_flow)
    error = torch.minimum(_difference(moved, first), _difference(second, first))
    return _mean_of_usable(error, valid & static & inside)


def flow_loss(rigid: RigidMotion, flow: Tensor, static: Tensor) -> Tensor:
    """Mean distance of the rigid flow from the measured flow, as a share of the parallax.

    1 is as good as no depth at all. Smooth L1 of Charbonnier et al., ICIP 1994. It converges from
    farther away than the photometric loss, and needs no texture.
    """
    square = ((rigid.flow - flow) ** 2).sum(dim=1)
    distance = (square + MIN_RESIDUAL_PX**2).sqrt() - MIN_RESIDUAL_PX
    parallax = rigid.parallax_px.clamp_min(MIN_RESIDUAL_PX)[:, None, None]
    return _mean_of_usable(distance / parallax, static)


def _mean_of_usable(values: Tensor, usable: Tensor) -> Tensor:
    """Mean over the images with enough usable pixels; 0, still with a graph, if there is none."""
    enough = (usable.float().mean(dim=(1, 2)) > _MIN_SHARE).float()
    return (masked_mean(values, usable) * enough).sum() / enough.sum().clamp_min(1)


def _difference(image: Tensor, other: Tensor) -> Tensor:
    """N,3,H,W pixels 0..1 -> N,H,W: 0.85 (1 - SSIM) / 2 + 0.15 L1, SSIM over 3x3 boxes."""
    absolute = (image - other).abs().mean(dim=1)
    a, b = (F.pad(x, (1, 1, 1, 1), mode="reflect") for x in (image, other))
    mean_a, mean_b = F.avg_pool2d(a, 3, 1), F.avg_pool2d(b, 3, 1)
    variance_a = F.avg_pool2d(a**2, 3, 1) - mean_a**2
    variance_b = F.avg_pool2d(b**2, 3, 1) - mean_b**2
    covariance = F.avg_pool2d(a * b, 3, 1) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    ssim = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    ssim = ssim / ((mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2))
    structure = ((1 - ssim) / 2).clamp(0, 1).mean(dim=1)
    return 0.85 * structure + 0.15 * absolute

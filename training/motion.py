"""Losses on two frames of a clip: depth that does not flicker, and that explains the motion.

No pose network: the camera's motion follows from optical flow by least squares. Images are
N,3,H,W float, 0..255. Relative inverse depth p is N,H,W (larger is nearer, of unknown scale and
shift), flow N,2,H,W in pixels of that grid, x then y, from the first frame to the second; masks
are N,H,W bool.

Camera, N,4: focal lengths fx, fy and principal point cx, cy in pixels of the grid, pixel edges at
integers, so that the point of a crop may lie outside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from losses import masked_mean, target_spread

DEAD_ZONE = 0.01
"""A change of depth smaller than this share of its spread costs nothing."""

MIN_PARALLAX = 0.001
"""Of the focal length, what a rotation must leave unexplained: 0.3 pixels of 224x288."""

MIN_GAIN = 1.5
"""What a rotation leaves unexplained over what the whole fit leaves."""

_ROUNDS = 5
_RIDGE = 1e-7
_MIN_RESIDUAL_PX = 0.1  # flow is no better than this
_MOVING_FLOOR_PX = 0.5
_MOVING_MEDIANS = 3.0
_MIN_SHARE = 0.05
_BEHIND_SHARE = 0.1


@dataclass(frozen=True)
class PairBatch:
    """first, second: N,3,H,W; flow N,2,H,W; valid N,H,W bool; camera N,4 (see the module).

    near: N bool, whether so little time lies between the frames that depth hardly changes.
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


@dataclass(frozen=True)
class RigidMotion:
    """What a camera moving through a scene that stands still makes of p.

    - flow: N,2,H,W, pixels, differentiable in p;
    - residual: N,H,W, pixels between it and the flow that was seen, without a gradient;
    - parallax_px: N, mean over what stands still of what a rotation alone leaves unexplained;
    - parallax: N bool, whether translation shows clearly.
    """

    flow: Tensor
    residual: Tensor
    parallax_px: Tensor
    parallax: Tensor


class MotionTerms(NamedTuple):
    """Scalars, 0 where nothing is usable."""

    temporal: Tensor
    photometric: Tensor
    flow: Tensor


def motion_terms(p0: Tensor, p1: Tensor, batch: PairBatch, rigid_too: bool = True) -> MotionTerms:
    """The losses of the two frames' p, N,H,W each, on the batch's grid.

    rigid_too: also those of a scene that stands still, which take most of the time.
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
    """Values (N,C,H,W) of the second frame where the first frame's pixels went, bilinear.

    Also N,H,W bool: whether that place lies inside the picture.
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


def rigid_motion(p: Tensor, flow: Tensor, valid: Tensor, camera: Tensor) -> RigidMotion:
    """Fit the camera's motion to the flow that was seen, and give the flow that it makes of p.

    The instantaneous motion field (Longuet-Higgins and Prazdny, "The Interpretation of a Moving
    Retinal Image", Proc. R. Soc. B 208, 1980) is linear in rotation and in translation t over
    depth. With inverse depth a p + b of unknown a and b it is linear in nine unknowns: t a, t b
    and the rotation. They are solved for by iteratively reweighted least squares in float64 on
    every second row and column.

    -p fits as well as p: t changes its sign, and the scene lies behind the camera. Where the
    solution says so, b is fixed such that the farthest of p is infinitely far, and what is left
    is solved for again, so that p the wrong way round does not explain the motion.
    """
    with torch.no_grad():
        known = valid.float().sum(dim=(1, 2), keepdim=True).clamp_min(1)
        mean = (p * valid).sum(dim=(1, 2), keepdim=True) / known
        spread = (((p - mean).abs() * valid).sum(dim=(1, 2), keepdim=True) / known).clamp_min(1e-3)
        translation, rotation = _motion_field(camera, p.shape[1], p.shape[2])
        unit = (p - mean) / spread
        scaled, shifted, turn, turn_alone = _solve(unit, flow, valid, translation, rotation)
        alone = _combine(rotation, turn_alone)
    inverse = ((p - mean) / spread)[:, None]
    rigid = inverse * _combine(translation, scaled)
    rigid = rigid + _combine(translation, shifted) + _combine(rotation, turn)
    with torch.no_grad():
        residual = (rigid - flow).norm(dim=1)
        static = static_mask(residual, valid)
        unexplained = masked_mean((alone - flow).norm(dim=1), static)
        left = masked_mean(residual, static)
        enough = unexplained > MIN_PARALLAX * camera[:, :2].mean(dim=1)
        parallax = enough & (unexplained > MIN_GAIN * left)
    return RigidMotion(rigid, residual, unexplained, parallax)


def parallax_share(flow: Tensor, valid: Tensor, camera: Tensor) -> Tensor:
    """N: what a rotation alone leaves of the flow, as a share of the focal length (median)."""
    _, rotation = _motion_field(camera, flow.shape[2], flow.shape[3])
    coarse, known = rotation[:, :, ::4, ::4].flatten(2, 3).double(), valid[:, ::4, ::4].flatten(1)
    seen = flow[:, :, ::4, ::4].flatten(2).double()
    alone = _fit(coarse, seen, known)
    left = (torch.einsum("ncpk,nk->ncp", coarse, alone) - seen).norm(dim=1)
    return _quantile(left, known, 0.5).float() / camera[:, :2].mean(dim=1)


def static_mask(residual: Tensor, valid: Tensor) -> Tensor:
    """N,H,W bool: what moves as the camera makes it move, judged by the residual's median."""
    median = _quantile(residual.flatten(1), valid.flatten(1), 0.5)[:, None, None]
    return valid & (residual < _MOVING_FLOOR_PX + _MOVING_MEDIANS * median)


def photometric_loss(
    image0: Tensor, image1: Tensor, rigid_flow: Tensor, valid: Tensor, static: Tensor
) -> Tensor:
    """Mean of 0.85 (1 - SSIM) / 2 + 0.15 L1 between the first frame and the second seen from it.

    Godard et al., "Digging Into Self-Supervised Monocular Depth Estimation" (Monodepth2), ICCV
    2019, with its automatic mask: a pixel that the second frame matches as well unmoved
    counts with that error, which has no gradient. static: see `static_mask`; all False for a pair
    without parallax.
    """
    first, second = image0 / 255, image1 / 255
    moved, inside = warp(second, rigid_flow)
    error = torch.minimum(_difference(moved, first), _difference(second, first))
    return _mean_of_usable(error, valid & static & inside)


def flow_loss(rigid: RigidMotion, flow: Tensor, static: Tensor) -> Tensor:
    """Mean distance of the rigid flow from the one that was seen, as a share of the parallax.

    1 is as good as no depth at all. Charbonnier's smooth L1 (Charbonnier et al., ICIP 1994). Its
    basin is wider than that of the photometric loss, and it needs no texture of its own.
    """
    square = ((rigid.flow - flow) ** 2).sum(dim=1)
    distance = (square + _MIN_RESIDUAL_PX**2).sqrt() - _MIN_RESIDUAL_PX
    parallax = rigid.parallax_px.clamp_min(_MIN_RESIDUAL_PX)[:, None, None]
    return _mean_of_usable(distance / parallax, static)


def _mean_of_usable(values: Tensor, usable: Tensor) -> Tensor:
    """Mean over the images of which enough is usable; 0 with a graph where none is."""
    enough = (usable.float().mean(dim=(1, 2)) > _MIN_SHARE).float()
    return (masked_mean(values, usable) * enough).sum() / enough.sum().clamp_min(1)


def _motion_field(camera: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Flow of a unit of translation at inverse depth 1, and of rotation: N,2,H,W,3 each, pixels.

    The scene moves, not the camera: a point P by t + w x P, so that at x = X / Z, y = Y / Z
        dx = (tx - x tz) / Z + wy (1 + x x) - wx x y - wz y
        dy = (ty - y tz) / Z - wx (1 + y y) + wy x y + wz x.
    """
    fx, fy, cx, cy = (value[:, None, None] for value in camera.unbind(1))
    rows = torch.arange(height, device=camera.device)[None, :, None] + 0.5
    columns = torch.arange(width, device=camera.device)[None, None, :] + 0.5
    x, y = (columns - cx) / fx, (rows - cy) / fy
    x, y = x + torch.zeros_like(y), y + torch.zeros_like(x)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    focal = torch.stack([fx, fy], dim=1)[..., None]
    along_x = torch.stack([one, zero, -x], dim=-1)
    along_y = torch.stack([zero, one, -y], dim=-1)
    turn_x = torch.stack([-x * y, 1 + x * x, -y], dim=-1)
    turn_y = torch.stack([-(1 + y * y), x * y, x], dim=-1)
    translation = torch.stack([along_x, along_y], dim=1) * focal
    return translation, torch.stack([turn_x, turn_y], dim=1) * focal


def _combine(field: Tensor, amounts: Tensor) -> Tensor:
    """N,2,H,W,3 and N,3 -> flow N,2,H,W."""
    return torch.einsum("nchwk,nk->nchw", field, amounts)


def _solve(
    unit: Tensor, flow: Tensor, valid: Tensor, translation: Tensor, rotation: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """t a, t b, rotation, and the rotation that fits best without translation: N,3 each."""

    def coarse(field: Tensor) -> Tensor:  # N,2,H,W,k -> N,2,P,k
        return field[:, :, ::2, ::2].flatten(2, 3).double()

    p = unit[:, ::2, ::2].flatten(1).double()
    t, w = coarse(translation), coarse(rotation)
    seen, known = coarse(flow[..., None])[..., 0], valid[:, ::2, ::2].flatten(1)
    inverse = p[:, None, :, None]
    alone = _fit(w, seen, known)
    scaled, shifted, turn = _fit(torch.cat([t * inverse, t, w], -1), seen, known).split(3, 1)  # type: ignore[no-untyped-call]
    ratio = (scaled * shifted).sum(1) / (scaled**2).sum(1).clamp_min(1e-18)  # b / a
    behind = ((p + ratio[:, None] < -0.1) & known).sum(1) > _BEHIND_SHARE * known.sum(1)
    farthest = _quantile(p, known, 0.02)
    above = inverse - farthest[:, None, None, None]
    scaled_above, turn_above = _fit(torch.cat([t * above, w], -1), seen, known).split(3, 1)  # type: ignore[no-untyped-call]
    behind = behind[:, None]
    scaled = torch.where(behind, scaled_above, scaled)
    shifted = torch.where(behind, -farthest[:, None] * scaled_above, shifted)
    turn = torch.where(behind, turn_above, turn)
    return scaled.float(), shifted.float(), turn.float(), alone.float()


def _fit(design: Tensor, flow: Tensor, valid: Tensor) -> Tensor:
    """Least squares, N,k, of flow (N,2,P) by the design (N,2,P,k), where valid (N,P).

    Reweighted after Geman and McClure: what is beyond twice the median residual hardly counts.
    """
    weight = valid.double()
    unit = torch.eye(design.shape[-1], dtype=design.dtype, device=design.device)
    solution = design.new_zeros(design.shape[0], design.shape[-1])
    for _ in range(_ROUNDS):
        weighted = design * weight[:, None, :, None]
        normal = torch.einsum("ncpk,ncpl->nkl", weighted, design)
        right = torch.einsum("ncpk,ncp->nk", weighted, flow)
        size = normal.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None]
        solution = torch.linalg.solve(normal + (_RIDGE * size + 1e-9) * unit, right)
        residual = (torch.einsum("ncpk,nk->ncp", design, solution) - flow).norm(dim=1)
        scale = 2 * _quantile(residual, valid, 0.5).clamp_min(_MIN_RESIDUAL_PX)[:, None]
        weight = valid / (1 + (residual / scale) ** 2) ** 2
    return solution


def _quantile(values: Tensor, valid: Tensor, share: float) -> Tensor:
    """Of the valid values of each row (N,P -> N); 0 where there are none."""
    ordered = values.masked_fill(~valid, torch.inf).sort(dim=1).values
    rank = (valid.sum(dim=1, keepdim=True) * share).long()
    found = ordered.gather(1, rank.clamp_max(values.shape[1] - 1))[:, 0]
    return torch.where(valid.any(dim=1), found, 0)


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

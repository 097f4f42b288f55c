"""The camera's motion between two frames, fitted to optical flow for a given depth.

No pose network: the flow of a static scene is linear in the camera's motion, so that least squares
find it. Conventions, here and in `motion_loss.py`:

- p: relative inverse depth, N,H,W; larger is nearer, scale and shift are unknown;
- flow: N,2,H,W, x then y, in pixels of that grid, from the first frame to the second;
- masks: N,H,W bool;
- camera: N,4: focal lengths fx, fy and principal point cx, cy in pixels of the grid, with pixel
  edges at integers. The principal point of a crop may lie outside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from depthrt_training.losses.depth_loss import masked_mean

MIN_PARALLAX = 0.001
"""Least parallax, as a share of the focal length: 0.3 pixels at 224x288."""

MIN_GAIN = 1.5
"""Least ratio of the residuals: rotation alone over rotation and translation."""

MIN_RESIDUAL_PX = 0.1
"""Optical flow is not more accurate than this."""

_ROUNDS = 5
_RIDGE = 1e-7
_MOVING_FLOOR_PX = 0.5
_MOVING_MEDIANS = 3.0
_BEHIND_SHARE = 0.1


@dataclass(frozen=True)
class RigidMotion:
    """The flow that the fitted camera motion gives a static scene of inverse depth p.

    - flow: N,2,H,W, pixels, differentiable in p;
    - residual: N,H,W, pixels, its distance from the measured flow, without a gradient;
    - parallax_px: N, mean residual of rotation alone over the static pixels;
    - parallax: N bool, whether translation is clearly visible.
    """

    flow: Tensor
    residual: Tensor
    parallax_px: Tensor
    parallax: Tensor


def rigid_motion(p: Tensor, flow: Tensor, valid: Tensor, camera: Tensor) -> RigidMotion:
    """Fit the camera's motion to the measured flow, and give the flow that follows from p.

    The instantaneous motion field (Longuet-Higgins and Prazdny, "The Interpretation of a Moving
    Retinal Image", Proc. R. Soc. B 208, 1980) is linear in rotation and in translation t over
    depth. With inverse depth a p + b of unknown a and b it is linear in nine unknowns: t a, t b
    and the rotation. They are solved for by iteratively reweighted least squares in float64 on
    every second row and column.

    -p would fit as well as p: t changes its sign, and the scene lies behind the camera. Where the
    solution does that, b is fixed so that the farthest of p is infinitely far, and the other
    unknowns are solved for again. So inverted depth does not explain the motion.
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
    """N: median residual of the flow after a fitted rotation, as a share of the focal length."""
    _, rotation = _motion_field(camera, flow.shape[2], flow.shape[3])
    coarse, known = rotation[:, :, ::4, ::4].flatten(2, 3).double(), valid[:, ::4, ::4].flatten(1)
    seen = flow[:, :, ::4, ::4].flatten(2).double()
    alone = _fit(coarse, seen, known)
    left = (torch.einsum("ncpk,nk->ncp", coarse, alone) - seen).norm(dim=1)
    return _quantile(left, known, 0.5).float() / camera[:, :2].mean(dim=1)


def static_mask(residual: Tensor, valid: Tensor) -> Tensor:
    """N,H,W bool: the pixels that move with the static scene, judged by the residual's median."""
    median = _quantile(residual.flatten(1), valid.flatten(1), 0.5)[:, None, None]
    return valid & (residual < _MOVING_FLOOR_PX + _MOVING_MEDIANS * median)


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

    Reweighted after Geman and McClure: residuals beyond twice their median hardly count.
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
        scale = 2 * _quantile(residual, valid, 0.5).clamp_min(MIN_RESIDUAL_PX)[:, None]
        weight = valid / (1 + (residual / scale) ** 2) ** 2
    return solution


def _quantile(values: Tensor, valid: Tensor, share: float) -> Tensor:
    """The quantile `share` of the valid values of each row (N,P -> N); 0 where none is valid."""
    ordered = values.masked_fill(~valid, torch.inf).sort(dim=1).values
    rank = (valid.sum(dim=1, keepdim=True) * share).long()
    found = ordered.gather(1, rank.clamp_max(values.shape[1] - 1))[:, 0]
    return torch.where(valid.any(dim=1), found, 0)

"""Losses on relative inverse depth of single images (N,H,W; larger is nearer).

valid: N,H,W bool, or float: the weight of every pixel, 0..1, 0 where the target is unknown.

Scale-and-shift-invariant trimmed loss and multi-scale gradient matching: Ranftl et al.,
"Towards Robust Monocular Depth Estimation" (MiDaS), PAMI 2022, equations 5 to 11.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_EPSILON = 1e-6
_MIN_SPREAD = 0.15
"""Least spread to normalise by, in target units, so that flat targets do not amplify noise."""


@dataclass(frozen=True)
class LossWeights:
    """Weights of the loss terms, and the share of the largest residuals that is left out (trim).

    exact_gradient: the gradient term's weight where the truth is exact to the pixel (renders).
    far: see `far_weight`; 0: every pixel counts alike.
    """

    gradient: float
    exact_gradient: float
    anchor: float
    trim: float
    far: float = 0.0


def align_least_squares(prediction: Tensor, target: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and shift (N,1,1 each) that align the prediction with the target, per image.

    The closed form of `depthrt eval --align disparity-lsq` (MiDaS, appendix), centred for numerical
    stability: scale = cov(p, d) / var(p), shift = mean(d) - scale * mean(p).
    """
    weight = valid.float()
    count = weight.sum(dim=(1, 2), keepdim=True).clamp_min(1)
    mean_p = (weight * prediction).sum(dim=(1, 2), keepdim=True) / count
    mean_d = (weight * target).sum(dim=(1, 2), keepdim=True) / count
    centred = prediction - mean_p
    variance = (weight * centred**2).sum(dim=(1, 2), keepdim=True) / count
    covariance = (weight * centred * (target - mean_d)).sum(dim=(1, 2), keepdim=True) / count
    scale = covariance / (variance + 1e-3)
    return scale, mean_d - scale * mean_p


def target_spread(target: Tensor, valid: Tensor) -> Tensor:
    """Mean absolute deviation of the target per image, N,1,1, at least `_MIN_SPREAD`."""
    weight = valid.float()
    count = weight.sum(dim=(1, 2), keepdim=True).clamp_min(1)
    mean = (weight * target).sum(dim=(1, 2), keepdim=True) / count
    spread = (weight * (target - mean).abs()).sum(dim=(1, 2), keepdim=True) / count
    return spread.clamp_min(_MIN_SPREAD)


def far_weight(target: Tensor, valid: Tensor, horizon: Tensor, far: float) -> Tensor:
    """Pixel weights N,H,W, 1 on average over the valid pixels, larger where the truth is farther.

    AbsRel and delta1 are relative errors, and depth's relative error is that of inverse depth:
    |p - t| / t. So a pixel weighs 1 / (t + far * mean t), with t the inverse depth above the
    horizon (N); without a known horizon (NaN) all pixels weigh 1.
    """
    with torch.no_grad():
        inverse = (target - horizon[:, None, None]).clamp_min(0)
        mean = masked_mean(inverse, valid)[:, None, None]
        weight = 1 / (inverse + far * mean).clamp_min(_EPSILON)
        weight = weight / masked_mean(weight, valid)[:, None, None].clamp_min(_EPSILON)
        return torch.where(horizon.isnan()[:, None, None], 1.0, weight)


def trimmed_mask(residual: Tensor, valid: Tensor, trim: float) -> Tensor:
    """`valid` without the share `trim` of the largest residuals, per image.

    The threshold is the quantile over every second row and column: cheap and close enough.
    """
    with torch.no_grad():
        known = valid[:, ::2, ::2].flatten(1) > 0
        coarse = residual[:, ::2, ::2].flatten(1).masked_fill(~known, -1)
        ordered = coarse.sort(dim=1, descending=True).values
        rank = (known.sum(dim=1, keepdim=True) * trim).long()
        threshold = ordered.gather(1, rank.clamp_max(ordered.shape[1] - 1))
        return valid * (residual <= threshold[:, :, None].clamp_min(_EPSILON))


def gradient_matching(difference: Tensor, valid: Tensor, scales: int = 4) -> Tensor:
    """Mean over `scales` of the absolute gradient of the difference, per image (N)."""
    total, valid = difference.new_zeros(difference.shape[0]), valid.float()
    for level in range(scales):
        step = 2**level
        d, m = difference[:, ::step, ::step], valid[:, ::step, ::step]
        both_x = torch.minimum(m[:, :, 1:], m[:, :, :-1])
        both_y = torch.minimum(m[:, 1:], m[:, :-1])
        dx = ((d[:, :, 1:] - d[:, :, :-1]).abs() * both_x).sum(dim=(1, 2))
        dy = ((d[:, 1:] - d[:, :-1]).abs() * both_y).sum(dim=(1, 2))
        total = total + dx / both_x.sum(dim=(1, 2)).clamp_min(1)
        total = total + dy / both_y.sum(dim=(1, 2)).clamp_min(1)
    return total / scales


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean over the valid pixels of each image (N)."""
    weight = valid.float()
    return (values * weight).sum(dim=(1, 2)) / weight.sum(dim=(1, 2)).clamp_min(1)


def depth_loss(
    prediction: Tensor,
    target: Tensor,
    valid: Tensor,
    exact: Tensor,
    horizon: Tensor,
    weights: LossWeights,
) -> Tensor:
    """Scalar: trimmed invariant L1 + gradient matching + anchor, each over the target's spread.

    exact: N bool, where the target's edges are exact; their gradients then weigh more.
    horizon: N, the target's value at infinite distance, NaN where unknown.

    The anchor, a plain L1 on the target's scale, keeps all sources in one range; the other terms do
    not depend on scale and shift.
    """
    scale, shift = align_least_squares(prediction, target, valid)
    spread = target_spread(target, valid)
    difference = (scale * prediction + shift - target) / spread
    residual = difference.abs()
    if weights.far:
        residual = residual * far_weight(target, valid, horizon, weights.far)
    kept = trimmed_mask(residual, valid, weights.trim)
    invariant = masked_mean(residual, kept)
    gradient = gradient_matching(difference, valid)
    anchor = masked_mean((prediction - target).abs() / spread, valid)
    usable = ((valid > 0).float().mean(dim=(1, 2)) > 0.05).float()
    sharpness = torch.where(exact, weights.exact_gradient, weights.gradient)
    per_image = invariant + sharpness * gradient + weights.anchor * anchor
    return (per_image * usable).sum() / usable.sum().clamp_min(1)


def invariant_error(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Validation measure per image (N): mean |s p + t - d| over the target's spread."""
    scale, shift = align_least_squares(prediction, target, valid)
    spread = target_spread(target, valid)
    return masked_mean((scale * prediction + shift - target).abs() / spread, valid)


def relative_error(prediction: Tensor, target: Tensor, valid: Tensor, horizon: Tensor) -> Tensor:
    """Validation measure per image (N): AbsRel of depth after alignment of inverse depth.

    As `depthrt eval --align disparity-lsq`, with depth capped at the image's 99th percentile. The
    sky has no depth and does not count. NaN where the horizon is unknown.
    """
    scale, shift = align_least_squares(prediction, target, valid)
    inverse = target - horizon[:, None, None]
    found = scale * prediction + shift - horizon[:, None, None]
    errors = []
    for truth, guess, known in zip(inverse, found, valid, strict=True):
        seen = known & (truth > 1e-3)
        if not seen.any():  # no horizon
            errors.append(truth.new_tensor(torch.nan))
            continue
        least = truth[seen].quantile(0.01)
        t, g = truth[seen].clamp_min(least), guess[seen].clamp_min(least)
        errors.append((t / g - 1).abs().mean())
    return torch.stack(errors)

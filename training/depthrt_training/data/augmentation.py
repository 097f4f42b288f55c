"""Augmentation of one sample with OpenCV: crop, warp, colours, partial covering."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from depthrt_training.data.label_cache import Sample

ByteImage = npt.NDArray[np.uint8]
FloatMap = npt.NDArray[np.float32]
Item = tuple[ByteImage, FloatMap, FloatMap]
"""rgb H,W,3; target and weight (0..1; 0: invalid) H,W or H/2,W/2."""

VALID_WEIGHT = 0.999  # of a bilinear footprint: all four neighbours valid


@dataclass(frozen=True)
class Perturbation:
    """Shares of the training images with strong perturbations; their labels stay.

    Yang et al., "Depth Anything", CVPR 2024, section 3.2: a network learns from its own labels
    only if it must predict them under strong colour distortion and partial covering (CutMix).
    Here the covered part has no label.
    """

    distorted: float = 0.0
    covered: float = 0.0


@dataclass(frozen=True)
class Colours:
    """Ranges of the colour changes, uniform; `grey`, `blur` and `noise` are probabilities."""

    contrast: tuple[float, float]
    brightness: tuple[float, float]
    gamma: tuple[float, float]
    balance: tuple[float, float]
    saturation: tuple[float, float]
    grey: float
    blur: float
    blur_sigma_px: tuple[float, float]
    noise: float
    noise_levels: tuple[float, float]


MILD = Colours(
    contrast=(0.8, 1.2), brightness=(-0.08, 0.08), gamma=(0.75, 1.35), balance=(0.92, 1.08),
    saturation=(0.5, 1.3), grey=0.05,
    blur=0.15, blur_sigma_px=(0.4, 1.5), noise=0.15, noise_levels=(1, 6),
)  # fmt: skip
STRONG = Colours(
    contrast=(0.5, 1.5), brightness=(-0.2, 0.2), gamma=(0.5, 2.0), balance=(0.75, 1.25),
    saturation=(0.0, 1.8), grey=0.15,
    blur=0.5, blur_sigma_px=(0.4, 2.2), noise=0.4, noise_levels=(2, 14),
)  # fmt: skip


def augment(
    sample: Sample,
    size: tuple[int, int],
    rng: np.random.Generator,
    full: bool = False,
    colours: Colours = MILD,
) -> Item:
    """Random crop or whole-image stretch, flip, slight rotation and colours."""
    height, width = sample.rgb.shape[:2]
    out_height, out_width = size
    if rng.random() < 0.35:
        crop_height, crop_width = height * rng.uniform(0.9, 1), width * rng.uniform(0.9, 1)
    else:
        aspect = out_width / out_height * np.exp(rng.uniform(-0.3, 0.3))
        crop_height = min(height, width / aspect) * rng.uniform(0.6, 1.0)
        crop_width = crop_height * aspect
    centre_x = rng.uniform(crop_width / 2, max(width - crop_width / 2, crop_width / 2))
    centre_y = rng.uniform(crop_height / 2, max(height - crop_height / 2, crop_height / 2))
    angle = np.deg2rad(rng.uniform(-6, 6)) if rng.random() < 0.4 else 0.0
    scale_x, scale_y = crop_width / out_width, crop_height / out_height
    if rng.random() < 0.5:
        scale_x = -scale_x
    cos, sin = np.cos(angle), np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]]) @ np.diag([scale_x, scale_y])
    offset = np.array([centre_x, centre_y]) - linear @ np.array([out_width / 2, out_height / 2])
    rgb, target, weight = warp(sample, np.column_stack([linear, offset]), size, full)
    return recolour(rgb, rng, colours), target, weight


def cover(
    item: Item,
    other: ByteImage,
    rng: np.random.Generator,
) -> Item:
    """Paste a box of another picture, 5% to 35% of the area, and mark it invalid."""
    rgb, target, weight = item[0].copy(), item[1], item[2].copy()
    height, width = rgb.shape[:2]
    step = height // target.shape[0]
    area, aspect = rng.uniform(0.05, 0.35), np.exp(rng.uniform(-0.7, 0.7))
    rows = min(round(height * (area / aspect) ** 0.5), height) // 2 * 2
    columns = min(round(width * (area * aspect) ** 0.5), width) // 2 * 2
    top = int(rng.integers((height - rows) // 2 + 1)) * 2
    left = int(rng.integers((width - columns) // 2 + 1)) * 2
    box = (slice(top, top + rows), slice(left, left + columns))
    rgb[box] = other[box]
    weight[top // step : (top + rows) // step, left // step : (left + columns) // step] = 0
    return rgb, target, weight


def warp(
    sample: Sample, to_source: npt.NDArray[np.float64], size: tuple[int, int], full: bool
) -> Item:
    """Resample bilinearly by a 2x3 map from output to source (pixel edges at integers).

    The image has `size`; target and weight have half of it unless `full`. A pixel is valid only
    if its whole bilinear footprint was: interpolation across the border of the valid region would
    otherwise leave a ring of wrong values.
    """
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    whole = (size[1], size[0])
    matrix = _on_centres(to_source)
    rgb = cv2.warpAffine(sample.rgb, matrix, whole, flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    # Replicating the border keeps whole-image stretches valid to the last pixel.
    step, border = 1 if full else 2, cv2.BORDER_REPLICATE
    grid = (size[1] // step, size[0] // step)
    matrix = _on_centres(to_source * np.array([step, step, 1]))
    label = sample.target.astype(np.float32)
    target = cv2.warpAffine(label, matrix, grid, flags=flags, borderMode=border)
    valid = _inside(matrix, (grid[1], grid[0]), sample.rgb.shape[:2])
    if sample.mask is not None:
        known = sample.mask.astype(np.float32)
        known = np.asarray(cv2.warpAffine(known, matrix, grid, flags=flags, borderMode=border))
        valid &= known > VALID_WEIGHT
    weight = valid.astype(np.float32)
    if sample.weight is not None:
        weight *= cv2.warpAffine(sample.weight, matrix, grid, flags=flags, borderMode=border) / 255
    return np.asarray(rgb, dtype=np.uint8), np.asarray(target, dtype=np.float32), weight


def _on_centres(to_source: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Convert a 2x3 map from pixel edges at integers to pixel centres at integers."""
    linear = to_source[:, :2]
    offset = to_source[:, 2] + linear @ np.array([0.5, 0.5]) - 0.5
    return np.column_stack([linear, offset])


def _inside(
    matrix: npt.NDArray[np.float64], size: tuple[int, int], source: tuple[int, ...]
) -> npt.NDArray[np.bool_]:
    """H,W: whether the output pixel's centre falls inside the source image."""
    y, x = np.arange(size[0], dtype=np.float32)[:, None], np.arange(size[1], dtype=np.float32)
    matrix = matrix.astype(np.float32)
    source_x = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]
    source_y = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]
    inside = (source_x > -0.5) & (source_x < source[1] - 0.5)
    inside &= (source_y > -0.5) & (source_y < source[0] - 0.5)
    return np.asarray(inside)


def recolour(rgb: ByteImage, rng: np.random.Generator, colours: Colours) -> ByteImage:
    """Change brightness, contrast, gamma, white balance and saturation; sometimes blur, noise."""
    levels = np.arange(256) / 255
    contrast, brightness = rng.uniform(*colours.contrast), rng.uniform(*colours.brightness)
    curve = levels ** rng.uniform(*colours.gamma)
    table = (curve - 0.5) * contrast + 0.5 + brightness
    balance = rng.uniform(*colours.balance, size=3)
    tables = np.clip(np.round(255 * table[:, None] * balance), 0, 255).astype(np.uint8)
    out = cv2.LUT(rgb, tables[None])
    saturation = 0.0 if rng.random() < colours.grey else rng.uniform(*colours.saturation)
    grey = cv2.cvtColor(cv2.cvtColor(out, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    out = cv2.addWeighted(out, saturation, grey, 1 - saturation, 0)
    if rng.random() < colours.blur:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(*colours.blur_sigma_px))
    if rng.random() < colours.noise:
        strength = rng.uniform(*colours.noise_levels)
        noise = rng.standard_normal(rgb.shape, dtype=np.float32) * strength
        out = np.clip(np.asarray(out) + noise, 0, 255)
    return np.asarray(out).astype(np.uint8)

"""Training batches from the label cache: sampling by source, warping, colour augmentation."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

ByteImage = npt.NDArray[np.uint8]
FloatMap = npt.NDArray[np.float32]
HalfMap = npt.NDArray[np.float16]

UNORDERED = ("photographs", "clips", "middlebury", "oak_d", "eth3d", "virtual_kitti2")
"""Sources whose neighbouring samples show different scenes, or too many to matter."""

EXACT = "rendered_"
"""How the names of the sources begin whose depth is exact to the pixel."""

_VALID_WEIGHT = 0.999  # of a bilinear footprint: all four neighbours valid


@dataclass(frozen=True)
class Sample:
    """One cached image: rgb H,W,3 uint8; target H,W, about 0..10, zero where invalid.

    mask: H,W, one where valid; None: valid everywhere.
    """

    rgb: ByteImage
    target: HalfMap
    mask: ByteImage | None


@dataclass(frozen=True)
class Batch:
    """image N,3,H,W float32, pixels 0..255; target N,h,w; valid N,h,w bool; exact N bool.

    h,w: H/2,W/2, or H,W for a batch of full labels. exact: the target was rendered.
    """

    image: Tensor
    target: Tensor
    valid: Tensor
    exact: Tensor


@dataclass(frozen=True)
class Split:
    """Samples by source."""

    training: dict[str, list[Sample]]
    validation: dict[str, list[Sample]]


def load_cache(folder: Path, sources: list[str]) -> Split:
    """Read `<source>.npz` for each source and split it.

    The split is fixed: sources in frame order (cameras, renders) give their last tenth, the others
    every tenth sample, so that a validation image is not the neighbour of a training image more
    often than it must be.
    """
    split = Split({}, {})
    for source in sources:
        samples = _read(folder / f"{source}.npz")
        if source in UNORDERED:
            held_out = set(range(7, len(samples), 10))
        else:
            held_out = set(range(len(samples) - len(samples) // 10, len(samples)))
        split.training[source] = [s for i, s in enumerate(samples) if i not in held_out]
        split.validation[source] = [s for i, s in enumerate(samples) if i in held_out]
    return split


def _read(file: Path) -> list[Sample]:
    if not file.exists():
        raise FileNotFoundError(f"{file} is missing: run prepare.py first")
    samples: list[Sample] = []
    with zipfile.ZipFile(file) as archive:  # np.load looks every name up in a list: minutes
        keys = sorted({name.split(".")[0] for name in archive.namelist()})
        for key in keys:
            image, target, valid = (
                np.lib.format.read_array(archive.open(f"{key}.{part}.npy"))
                for part in ("image", "target", "valid")
            )
            if valid.all():
                samples.append(Sample(image, target, None))
            else:
                target[~valid] = 0
                samples.append(Sample(image, target, valid.view(np.uint8)))
    return samples


def training_batch(
    samples: dict[str, list[Sample]],
    weights: dict[str, float],
    batch_size: int,
    size: tuple[int, int],
    rng: np.random.Generator,
    full: bool = False,
) -> Batch:
    """Draw a source by weight, then an image of it, and augment to `size` (height, width)."""
    names = list(weights)
    share = np.array([weights[name] for name in names])
    drawn = rng.choice(len(names), size=batch_size, p=share / share.sum())
    items = []
    for index in drawn:
        pool = samples[names[index]]
        items.append(augment(pool[rng.integers(len(pool))], size, rng, full))
    return _collate(items, [names[index].startswith(EXACT) for index in drawn])


def validation_batch(samples: list[Sample], size: tuple[int, int], full: bool = False) -> Batch:
    """Whole images stretched to `size`, as the finished model sees them."""
    items = []
    for sample in samples:
        height, width = sample.rgb.shape[:2]
        to_source = np.array([[width / size[1], 0, 0], [0, height / size[0], 0]])
        items.append(_warp(sample, to_source, size, full))
    return _collate(items, [False] * len(items))


def augment(
    sample: Sample, size: tuple[int, int], rng: np.random.Generator, full: bool = False
) -> tuple[ByteImage, FloatMap, npt.NDArray[np.bool_]]:
    """Whole-image stretch or crop with mild stretch; flip; slight rotation; colour."""
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
    rgb, target, valid = _warp(sample, np.column_stack([linear, offset]), size, full)
    return _colour(rgb, rng), target, valid


def _warp(
    sample: Sample, to_source: npt.NDArray[np.float64], size: tuple[int, int], full: bool
) -> tuple[ByteImage, FloatMap, npt.NDArray[np.bool_]]:
    """Resample bilinearly by a 2x3 map from output to source (pixel edges at integers).

    The image comes at `size`, target and validity at half of it unless `full`. The mask is warped
    like the target, and a pixel is valid only where its whole bilinear footprint was:
    interpolating across the border of the valid region would otherwise leave a ring of garbage.
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
        weight = cv2.warpAffine(known, matrix, grid, flags=flags, borderMode=border)
        valid &= np.asarray(weight) > _VALID_WEIGHT
    return np.asarray(rgb, dtype=np.uint8), np.asarray(target, dtype=np.float32), valid


def _on_centres(to_source: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Move a 2x3 map from pixel edges at integers to pixel centres at integers."""
    linear = to_source[:, :2]
    offset = to_source[:, 2] + linear @ np.array([0.5, 0.5]) - 0.5
    return np.column_stack([linear, offset])


def _inside(
    matrix: npt.NDArray[np.float64], size: tuple[int, int], source: tuple[int, ...]
) -> npt.NDArray[np.bool_]:
    """H,W: does the output pixel's centre fall on the source image?"""
    y, x = np.arange(size[0], dtype=np.float32)[:, None], np.arange(size[1], dtype=np.float32)
    matrix = matrix.astype(np.float32)
    source_x = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]
    source_y = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]
    inside = (source_x > -0.5) & (source_x < source[1] - 0.5)
    inside &= (source_y > -0.5) & (source_y < source[0] - 0.5)
    return np.asarray(inside)


def _colour(rgb: ByteImage, rng: np.random.Generator) -> ByteImage:
    """Brightness, contrast, gamma, white balance; saturation; blur and noise now and then."""
    levels = np.arange(256) / 255
    contrast, brightness = rng.uniform(0.8, 1.2), rng.uniform(-0.08, 0.08)
    curve = levels ** rng.uniform(0.75, 1.35)
    table = (curve - 0.5) * contrast + 0.5 + brightness
    balance = rng.uniform(0.92, 1.08, size=3)
    tables = np.clip(np.round(255 * table[:, None] * balance), 0, 255).astype(np.uint8)
    out = cv2.LUT(rgb, tables[None])
    saturation = 0.0 if rng.random() < 0.05 else rng.uniform(0.5, 1.3)
    grey = cv2.cvtColor(cv2.cvtColor(out, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    out = cv2.addWeighted(out, saturation, grey, 1 - saturation, 0)
    if rng.random() < 0.15:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.4, 1.5))
    if rng.random() < 0.15:
        noise = rng.standard_normal(rgb.shape, dtype=np.float32) * rng.uniform(1, 6)
        out = np.clip(np.asarray(out) + noise, 0, 255)
    return np.asarray(out).astype(np.uint8)


def _collate(
    items: list[tuple[ByteImage, FloatMap, npt.NDArray[np.bool_]]], exact: list[bool]
) -> Batch:
    image = torch.from_numpy(np.stack([item[0] for item in items]))  # N,H,W,3
    return Batch(
        image.permute(0, 3, 1, 2).float(),
        torch.from_numpy(np.stack([item[1] for item in items])),
        torch.from_numpy(np.stack([item[2] for item in items])),
        torch.tensor(exact),
    )

"""Batches made on the training device: samples lie in its memory and are augmented as a batch.

Does with torch for a batch what `augmentation.py` does with OpenCV for one picture, because a GPU
would wait for the latter. Random numbers are drawn in another order, so that the batches are
alike, but not the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from depthrt_training.data.augmentation import MILD, STRONG, VALID_WEIGHT, Colours
from depthrt_training.data.batches import EXACT, Batch
from depthrt_training.data.label_cache import Sample

FloatArray = npt.NDArray[np.float64]

_BLUR_RADIUS_PX = 4


@dataclass(frozen=True)
class Pool:
    """The pixels of all samples, concatenated, on one device.

    rgb: P,3 uint8; target: P float16; weight: P uint8; for each sample (N): the index of its
    first pixel, its height and width, the target at infinite distance (NaN: unknown). names: the
    sources; first: the index of each source's first sample, then N.
    """

    rgb: Tensor
    target: Tensor
    weight: Tensor
    begin: Tensor
    height: Tensor
    width: Tensor
    horizon: Tensor
    shapes: npt.NDArray[np.int64]
    names: tuple[str, ...]
    first: npt.NDArray[np.int64]


def make_pool(samples: Mapping[str, Sequence[Sample]], device: torch.device) -> Pool:
    """Copy the samples of every source to the device.

    Raises:
        ValueError: a source without samples.
    """
    for name, source in samples.items():
        if not source:
            raise ValueError(f"{name} has no samples")
    every = [sample for source in samples.values() for sample in source]
    shapes = np.array([s.target.shape for s in every], dtype=np.int64)
    pixels = shapes.prod(axis=1)
    begin = np.concatenate([[0], np.cumsum(pixels)[:-1]])

    def on_device(array: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(array).to(device)

    return Pool(
        on_device(np.concatenate([s.rgb.reshape(-1, 3) for s in every])),
        on_device(np.concatenate([s.target.ravel() for s in every])),
        on_device(np.concatenate([_weight(sample).ravel() for sample in every])),
        on_device(begin),
        on_device(shapes[:, 0]),
        on_device(shapes[:, 1]),
        on_device(np.array([s.horizon for s in every], dtype=np.float32)),
        shapes,
        tuple(samples),
        np.concatenate([[0], np.cumsum([len(source) for source in samples.values()])]),
    )


def _weight(sample: Sample) -> npt.NDArray[np.uint8]:
    """H,W: how much a pixel counts, 255: fully, 0: the target is unknown."""
    if sample.weight is not None:
        return sample.weight
    if sample.mask is not None:
        return np.asarray(255 * sample.mask, dtype=np.uint8)
    return np.full(sample.target.shape, 255, np.uint8)


def pool_batch(
    pool: Pool,
    weights: Mapping[str, float],
    batch_size: int,
    size: tuple[int, int],
    rng: np.random.Generator,
    full: bool = False,
) -> tuple[Batch, npt.NDArray[np.int64]]:
    """Draw sources by weight, then samples; cut and turn them to `size` (height, width).

    Returns the batch with its original colours, and for each image (N) the index of its source in
    `pool.names`.
    """
    share = np.array([weights[name] for name in pool.names])
    source = rng.choice(len(share), size=batch_size, p=share / share.sum())
    count = np.diff(pool.first)[source]
    chosen = pool.first[source] + (rng.random(batch_size) * count).astype(np.int64)
    matrices = torch.from_numpy(draw_cuts(pool.shapes[chosen], size, rng))
    device = pool.rgb.device
    sample, matrices = torch.from_numpy(chosen).to(device), matrices.to(device, torch.float32)
    step = 1 if full else 2
    image = _look_up(pool, sample, matrices, size, 1, "rgb")
    half = (size[0] // step, size[1] // step)
    target, weight = _look_up_target(pool, sample, matrices, half, step)
    exact = torch.from_numpy(np.array([pool.names[i].startswith(EXACT) for i in source]))
    image = image.permute(0, 3, 1, 2)
    return Batch(image, target, weight, exact.to(device), pool.horizon[sample]), source


def draw_cuts(
    shapes: npt.NDArray[np.int64], size: tuple[int, int], rng: np.random.Generator
) -> FloatArray:
    """N,2,3 maps from output to source pixels (edges at integers), as `augmentation.augment`.

    A third are whole pictures, stretched; the others are crops. Half are mirrored, two fifths are
    rotated by up to 6 degrees. shapes: N,2, height and width of the pictures.
    """
    number = len(shapes)
    height, width = shapes[:, 0].astype(float), shapes[:, 1].astype(float)
    out_height, out_width = size

    def uniform(low: float, high: float) -> FloatArray:
        return rng.uniform(low, high, number)

    whole = rng.random(number) < 0.35
    aspect = out_width / out_height * np.exp(uniform(-0.3, 0.3))
    part_height = np.minimum(height, width / aspect) * uniform(0.6, 1.0)
    cut_height = np.where(whole, height * uniform(0.9, 1), part_height)
    cut_width = np.where(whole, width * uniform(0.9, 1), part_height * aspect)
    centre_x = cut_width / 2 + rng.random(number) * np.maximum(width - cut_width, 0)
    centre_y = cut_height / 2 + rng.random(number) * np.maximum(height - cut_height, 0)
    angle = np.where(rng.random(number) < 0.4, np.deg2rad(uniform(-6, 6)), 0.0)
    scale_x = cut_width / out_width * np.where(rng.random(number) < 0.5, -1, 1)
    scale_y = cut_height / out_height
    cos, sin = np.cos(angle), np.sin(angle)
    linear = np.empty((number, 2, 2))
    linear[:, 0, 0], linear[:, 0, 1] = cos * scale_x, -sin * scale_y
    linear[:, 1, 0], linear[:, 1, 1] = sin * scale_x, cos * scale_y
    middle = linear @ np.array([out_width / 2, out_height / 2])
    offset = np.stack([centre_x, centre_y], axis=1) - middle
    return np.concatenate([linear, offset[:, :, None]], axis=2)


def change_colours(image: Tensor, rng: np.random.Generator, strong_share: float) -> Tensor:
    """The colour changes of `augmentation.py` for N,3,H,W in 0..255; the result is integral."""
    number, device = image.shape[0], image.device
    strong = rng.random(number) < strong_share

    def of(name: str) -> FloatArray:
        """A value for every image, from the mild or the strong range."""
        mild, hard = (rng.uniform(*_range(c, name), number) for c in (MILD, STRONG))
        return np.where(strong, hard, mild)

    def chosen(name: str) -> npt.NDArray[np.bool_]:
        share = np.where(strong, getattr(STRONG, name), getattr(MILD, name))
        return np.asarray(rng.random(number) < share)

    def by_image(values: FloatArray) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(device).reshape(number, -1, 1, 1)

    balance = np.stack([of("balance") for _ in range(3)], axis=1)
    saturation = np.where(chosen("grey"), 0.0, of("saturation"))
    sigma_px = np.where(chosen("blur"), of("blur_sigma_px"), 0.0)
    noise = np.where(chosen("noise"), of("noise_levels"), 0.0)
    x = (image / 255).clamp(0, 1) ** by_image(of("gamma"))
    x = (x - 0.5) * by_image(of("contrast")) + 0.5 + by_image(of("brightness"))
    x = (255 * x * by_image(balance)).clamp(0, 255)
    grey = (x * x.new_tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)).sum(1, keepdim=True)
    x = grey + by_image(saturation) * (x - grey)
    x = _blur(x, sigma_px)
    seeds = torch.Generator(device).manual_seed(int(rng.integers(2**62)))
    x = x + by_image(noise) * torch.randn(x.shape, generator=seeds, device=device)
    return x.clamp(0, 255).round()


def _range(colours: Colours, name: str) -> tuple[float, float]:
    low, high = getattr(colours, name)
    return float(low), float(high)


def _blur(image: Tensor, sigma_px: FloatArray) -> Tensor:
    """Gaussian blur of N,3,H,W, each image with its own sigma; 0: none."""
    which = np.flatnonzero(sigma_px > 0)
    if not len(which):
        return image
    offset = np.arange(-_BLUR_RADIUS_PX, _BLUR_RADIUS_PX + 1)
    kernels = np.exp(-0.5 * (offset / sigma_px[which, None]) ** 2)
    kernels /= kernels.sum(axis=1, keepdims=True)
    line = torch.from_numpy(np.repeat(kernels, 3, axis=0)).to(image.device, image.dtype)
    index = torch.from_numpy(which).to(image.device)
    part = image[index].flatten(0, 1)[None]  # 1,3n,H,W
    groups = part.shape[1]
    reach = (_BLUR_RADIUS_PX,) * 4
    part = F.pad(part, reach, mode="reflect")
    part = F.conv2d(part, line[:, None, None, :], groups=groups)
    part = F.conv2d(part, line[:, None, :, None], groups=groups)
    return image.index_copy(0, index, part[0].reshape(-1, 3, *image.shape[2:]))


def _look_up(
    pool: Pool, sample: Tensor, matrices: Tensor, size: tuple[int, int], step: int, what: str
) -> Tensor:
    """Bilinear values of `what` at the output's pixel centres, N,H,W,..., float32."""
    values: Tensor = getattr(pool, what)
    mirrored = what == "rgb"
    total: Tensor | None = None
    for index, weight in _footprint(pool, sample, matrices, size, step, mirrored):
        part = values[index].float() * (weight[..., None] if values.dim() > 1 else weight)
        total = part if total is None else total + part
    assert total is not None
    return total


def _look_up_target(
    pool: Pool, sample: Tensor, matrices: Tensor, size: tuple[int, int], step: int
) -> tuple[Tensor, Tensor]:
    """Target and weight, N,H,W each: valid where the whole footprint is, inside the picture."""
    target = torch.zeros((len(sample), *size), device=sample.device)
    known, counts = torch.zeros_like(target), torch.zeros_like(target)
    for index, share in _footprint(pool, sample, matrices, size, step, False):
        weight = pool.weight[index]
        target += pool.target[index].float() * share
        known += (weight > 0).float() * share
        counts += weight.float() * (share / 255)
    x, y = _positions(matrices, size, step)
    height, width = pool.height[sample][:, None, None], pool.width[sample][:, None, None]
    inside = (x > 0) & (x < width) & (y > 0) & (y < height)
    return target, counts * (inside & (known > VALID_WEIGHT))


def _positions(matrices: Tensor, size: tuple[int, int], step: int) -> tuple[Tensor, Tensor]:
    """Source x and y of every output pixel's centre, N,H,W each, pixel edges at integers."""
    device = matrices.device
    y = (torch.arange(size[0], device=device)[None, :, None] + 0.5) * step
    x = (torch.arange(size[1], device=device)[None, None, :] + 0.5) * step
    m = matrices[:, :, :, None, None]
    return (
        m[:, 0, 0] * x + m[:, 0, 1] * y + m[:, 0, 2],
        m[:, 1, 0] * x + m[:, 1, 1] * y + m[:, 1, 2],
    )


def _footprint(
    pool: Pool,
    sample: Tensor,
    matrices: Tensor,
    size: tuple[int, int],
    step: int,
    mirrored: bool,
) -> list[tuple[Tensor, Tensor]]:
    """Indices and weights of the four neighbours, N,H,W each.

    Beyond the border pixels are mirrored, or the last one is repeated.
    """
    x, y = _positions(matrices, size, step)
    x, y = x - 0.5, y - 0.5
    left, top = x.floor(), y.floor()
    right_share, lower_share = x - left, y - top
    height, width = pool.height[sample][:, None, None], pool.width[sample][:, None, None]
    begin = pool.begin[sample][:, None, None]

    def at_border(position: Tensor, length: Tensor) -> Tensor:
        if mirrored:  # OpenCV's BORDER_REFLECT_101: the border pixel is not repeated
            position = position.abs()
            position = (length - 1) - ((length - 1) - position).abs()
        return position.clamp_min(0).minimum(length - 1)

    result = []
    for down in (0, 1):
        row = at_border(top.long() + down, height)
        row_weight = lower_share if down else 1 - lower_share
        for along in (0, 1):
            column = at_border(left.long() + along, width)
            column_weight = right_share if along else 1 - right_share
            result.append((begin + row * width + column, row_weight * column_weight))
    return result

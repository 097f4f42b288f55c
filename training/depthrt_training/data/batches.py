"""Batches from the label cache, made with OpenCV."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from depthrt_training.data.augmentation import (
    MILD,
    STRONG,
    Item,
    Perturbation,
    augment,
    cover,
    warp,
)
from depthrt_training.data.label_cache import Sample

EXACT = "rendered_"
"""Name prefix of the sources whose depth is exact to the pixel."""

_UNPERTURBED = Perturbation()


@dataclass(frozen=True)
class Batch:
    """image N,3,H,W float32, pixels 0..255; target N,h,w; weight N,h,w, 0..1; exact N bool.

    h,w: H/2,W/2, or H,W with labels at full resolution. weight: how much a pixel counts, 0 where
    the target is unknown. exact: the target was rendered. horizon: N, the target's value at
    infinite distance, NaN where unknown.
    """

    image: Tensor
    target: Tensor
    weight: Tensor
    exact: Tensor
    horizon: Tensor

    @property
    def valid(self) -> Tensor:
        """N,h,w bool: where the target is known."""
        return self.weight > 0


def training_batch(
    samples: dict[str, list[Sample]],
    weights: dict[str, float],
    batch_size: int,
    size: tuple[int, int],
    rng: np.random.Generator,
    full: bool = False,
    perturbation: Perturbation = _UNPERTURBED,
) -> Batch:
    """Draw a source by weight, then an image of it, and augment to `size` (height, width)."""
    names = list(weights)
    share = np.array([weights[name] for name in names])
    drawn = rng.choice(len(names), size=batch_size, p=share / share.sum())
    chosen = []
    items = []
    for index in drawn:
        pool = samples[names[index]]
        chosen.append(pool[rng.integers(len(pool))])
        strong = perturbation.distorted > 0 and rng.random() < perturbation.distorted
        items.append(augment(chosen[-1], size, rng, full, STRONG if strong else MILD))
    if perturbation.covered:
        items = [
            cover(item, items[i - 1][0], rng) if rng.random() < perturbation.covered else item
            for i, item in enumerate(items)
        ]
    exact = [names[index].startswith(EXACT) for index in drawn]
    return _collate(items, chosen, exact)


def validation_batch(samples: list[Sample], size: tuple[int, int], full: bool = False) -> Batch:
    """Whole images stretched to `size`, as the finished model sees them."""
    items = []
    for sample in samples:
        height, width = sample.rgb.shape[:2]
        to_source = np.array([[width / size[1], 0, 0], [0, height / size[0], 0]])
        items.append(warp(sample, to_source, size, full))
    return _collate(items, samples, [False] * len(items))


def _collate(
    items: list[Item],
    samples: list[Sample],
    exact: list[bool],
) -> Batch:
    image = torch.from_numpy(np.stack([item[0] for item in items]))  # N,H,W,3
    return Batch(
        image.permute(0, 3, 1, 2).float(),
        torch.from_numpy(np.stack([item[1] for item in items])),
        torch.from_numpy(np.stack([item[2] for item in items])),
        torch.tensor(exact),
        torch.tensor([sample.horizon for sample in samples]),
    )

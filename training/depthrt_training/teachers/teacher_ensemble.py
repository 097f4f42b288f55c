"""Labels for pictures without ground truth, made while training by several networks.

The networks see exactly the pixels of the batch: distillation works best if teacher and student
see the same crop, over very many varied pictures, also blended ones (Beyer et al., "Knowledge
distillation: A good teacher is patient and consistent", CVPR 2022). Networks of different training
make different errors, and their mean errs less (Hinton et al., "Distilling the Knowledge in a
Neural Network", 2015).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from depthrt_training.data.batches import Batch
from depthrt_training.data.label_cache import TARGET_SCALE
from depthrt_training.losses.depth_loss import align_least_squares
from depthrt_training.model.network import DepthNet, normalise
from depthrt_training.teachers.tcmonodepth_torch import TorchTeacher

BATCH = 16
"""Number of pictures that are labelled or validated at once. It never changes, because cuDNN spends
seconds on planning for every new shape."""

_SMOOTH_PX = 8
"""The teacher's difference is averaged over squares of this side: only its layout counts."""


class TeacherEnsemble(nn.Module):
    """Mean over networks and over the horizontal flip, on the scale of the first network."""

    def __init__(
        self, members: Sequence[DepthNet], teacher: TorchTeacher | None, teacher_share: float
    ) -> None:
        """teacher_share: weight of the teacher in the layout, 0..1; without members it is 1."""
        super().__init__()
        if not members and teacher is None:
            raise ValueError("an ensemble needs a network or the teacher")
        self._members = nn.ModuleList(members)
        self._teacher = teacher
        self._teacher_share = teacher_share

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """image: N,3,H,W, 0..255, sides multiples of 32 -> N,H,W on the scale of training."""
        both = torch.cat([image, image.flip(3)])
        pixels = normalise(both).to(memory_format=torch.channels_last)
        maps = [_mean_of_flips(member(pixels)) for member in self._members]
        own = sum((_aligned(m, maps[0]) for m in maps[1:]), maps[0]) / len(maps) if maps else None
        if self._teacher is None or self._teacher_share == 0:
            assert own is not None
            return own
        with torch.autocast(
            image.device.type, enabled=False
        ):  # half precision is too coarse for its labels
            other = TARGET_SCALE * _mean_of_flips(self._teacher(both))
        if own is None:
            return other
        return own + self._teacher_share * _smooth(_aligned(other, own) - own)


def _mean_of_flips(depth: Tensor) -> Tensor:
    """2N,H,W, pictures and mirrored pictures -> N,H,W."""
    plain, mirrored = depth.float().chunk(2)
    return (plain + mirrored.flip(2)) / 2


def _aligned(depth: Tensor, reference: Tensor) -> Tensor:
    scale, shift = align_least_squares(depth, reference, torch.ones_like(depth, dtype=torch.bool))
    return scale * depth + shift


def _smooth(difference: Tensor) -> Tensor:
    """N,H,W averaged over squares and enlarged again bilinearly."""
    coarse = F.avg_pool2d(difference[:, None], _SMOOTH_PX)
    size = difference.shape[1:]
    return F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)[:, 0]


def blend(image: Tensor, rng: np.random.Generator, share: float) -> Tensor:
    """Blend a share of the pictures, N,3,H,W, with the previous one (Zhang et al., mixup, 2018)."""
    weight = np.where(rng.random(len(image)) < share, rng.uniform(0, 0.5, len(image)), 0.0)
    other = torch.from_numpy(weight.astype(np.float32)).to(image.device)
    return image.lerp(image.roll(1, 0), other.reshape(-1, 1, 1, 1))


def label(
    batch: Batch,
    unlabelled: npt.NDArray[np.int64],
    ensemble: Callable[[Tensor], Tensor],
    blended: float,
    rng: np.random.Generator,
) -> Batch:
    """The batch with labels for the pictures of these indices; some are blended first."""
    if not len(unlabelled):
        return batch
    index = torch.from_numpy(unlabelled).to(batch.image.device)
    pictures = blend(batch.image[index], rng, blended)
    labels = in_batches(ensemble, pictures)
    if batch.target.shape[1] != batch.image.shape[2]:  # supervised at half resolution
        labels = F.avg_pool2d(labels[:, None], 2)[:, 0]
    return replace(
        batch,
        image=batch.image.index_copy(0, index, pictures),
        target=batch.target.index_copy(0, index, labels),
        weight=batch.weight.index_fill(0, index, 1.0),
    )


def in_batches(ensemble: Callable[[Tensor], Tensor], pictures: Tensor) -> Tensor:
    """Labels of N,3,H,W, `BATCH` pictures at a time; the last batch is padded with copies."""
    missing = -len(pictures) % BATCH
    filled = torch.cat([pictures, pictures[:1].expand(missing, -1, -1, -1)])
    parts = torch.split(filled, BATCH)
    return torch.cat([ensemble(part) for part in parts])[: len(pictures)]

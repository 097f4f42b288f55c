"""The configuration of a run, read from TOML: stages, loss, sources, learning rate."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import tomllib
from torch import Tensor

from depthrt_training.data.augmentation import Perturbation
from depthrt_training.data.provenance import Provenance, hash_of_file, hash_of_text
from depthrt_training.losses.depth_loss import LossWeights
from depthrt_training.model.network import NATIVE_SIZE

CONFIGS = Path(__file__).parents[1] / "configs"
"""The folder of the configurations that come with the recipe."""

QUICK_SHARE = 0.08
"""`--quick` trains on this share of every stage's images."""


@dataclass(frozen=True)
class Stage:
    """Number of images, batch size, and the sizes (height, width) that batches are drawn in.

    full: the loss is taken at full resolution, not at half.
    weight_bits: the forward pass rounds the weights to this many bits; 0: it does not.
    """

    images: int
    batch: int
    sizes: list[tuple[int, int]]
    full: bool
    weight_bits: int = 0

    @property
    def steps(self) -> int:
        """Optimiser steps of the stage."""
        return math.ceil(self.images / self.batch)


@dataclass(frozen=True)
class EnsembleLabels:
    """How the teacher ensemble labels pictures without ground truth (`teacher_ensemble.py`).

    teacher_share: weight of the teacher in the large-scale layout of a label, 0..1. blended: share
    of the pictures that are blended with another one before they are labelled.
    """

    teacher_share: float
    blended: float = 0.0


@dataclass(frozen=True)
class Motion:
    """Losses on pairs of video frames (`motion_loss.py`): pairs per step, weight of each loss."""

    pairs: int
    temporal: float
    photometric: float
    flow: float

    def weighted(self, temporal: Tensor, photometric: Tensor, flow: Tensor) -> Tensor:
        """The losses' weighted sum."""
        return self.temporal * temporal + self.photometric * photometric + self.flow * flow


@dataclass(frozen=True)
class Config:
    """A configuration; `configs/depthrt-s.toml` explains every value.

    size: height and width in pixels that the weights are for, and at which they are validated.
    """

    seed: int
    learning_rate: float
    encoder_rate: float
    weight_decay: float
    warmup_steps: int
    decay_share: float
    ema_decay: float
    gradient_clip: float
    frozen_blocks: int
    validate_every: int
    checkpoint_every: int
    loss: LossWeights
    sources: dict[str, float]
    stages: list[Stage]
    size: tuple[int, int] = NATIVE_SIZE
    perturbation: Perturbation = field(default_factory=Perturbation)
    teacher_ensemble: EnsembleLabels | None = None
    motion: Motion | None = None

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return sum(stage.steps for stage in self.stages)


def read_config(file: Path, quick: bool = False) -> Config:
    """Parse the TOML file; an unknown or missing key is an error.

    quick: keep `QUICK_SHARE` of every stage's images.
    """
    raw: dict[str, Any] = tomllib.loads(file.read_text())
    share = QUICK_SHARE if quick else 1.0
    stages = [
        Stage(round(s.pop("images") * share), sizes=[(h, w) for h, w in s.pop("sizes")], **s)
        for s in raw.pop("stages")
    ]
    loss = LossWeights(**raw.pop("loss"))
    perturbation = Perturbation(**raw.pop("perturbation", {}))
    ensemble = raw.pop("teacher_ensemble", None)
    motion = Motion(**raw.pop("motion")) if "motion" in raw else None
    height, width = raw.pop("size", NATIVE_SIZE)
    return Config(
        loss=loss,
        stages=stages,
        size=(height, width),
        perturbation=perturbation,
        teacher_ensemble=EnsembleLabels(**ensemble) if ensemble else None,
        motion=motion,
        **raw,
    )


def stage_at(config: Config, step: int) -> Stage:
    """The stage that a step belongs to."""
    for stage in config.stages:
        if step < stage.steps:
            return stage
        step -= stage.steps
    raise ValueError("the step lies beyond the last stage")


def rate_at(config: Config, step: int) -> float:
    """Factor of the learning rate: linear warm-up, constant, linear decay to 1%.

    While the rate is constant a run can still be shortened or lengthened (Haegele et al.,
    "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations", 2024).
    """
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    left = (config.steps - step) / max(config.steps * config.decay_share, 1)
    return max(min(left, 1.0), 0.01)


def run_provenance(
    config: Config, start: Path | None, on_device: bool = False, members: Sequence[Path] = ()
) -> Provenance:
    """What a run is made from: the whole configuration except the number of images per stage.

    That number may change while a run is under way (`rate_at`). on_device: `device_batches.py`
    makes the batches; they differ from those that OpenCV makes.
    """
    recipe = asdict(config)
    for stage in recipe["stages"]:
        del stage["images"]
    for key in ("teacher_ensemble", "motion"):
        if recipe[key] is None:  # runs begun before there was such a key go on
            del recipe[key]
    if config.size == NATIVE_SIZE:
        del recipe["size"]
    provenance = {
        "configuration": hash_of_text(json.dumps(recipe, sort_keys=True)),
        "start weights": hash_of_file(start) if start else "ImageNet's encoder",
    }
    if on_device:
        provenance["batches"] = "made on the device"
    if members:
        provenance["teacher ensemble"] = " ".join(hash_of_file(file) for file in members)
    return provenance

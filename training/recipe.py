"""The recipe as config.toml has it: stages, loss, sources, and the learning rate's course."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import tomllib
from torch import Tensor

from augmentation import Perturbation
from losses import LossWeights
from origin import Origin, hash_of_file, hash_of_text

QUICK_SHARE = 0.08
"""`--quick` trains on this share of every stage's images."""


@dataclass(frozen=True)
class Stage:
    """Images to see, batch size and the sizes (height, width) drawn from.

    full: supervised at every pixel, not at half resolution.
    weight_bits: weights are rounded to so many bits in the forward pass; 0: not.
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
class Labelling:
    """How the committee labels what has no ground truth (`committee.py`).

    teacher_share: how much of the layout is the teacher's. blended: share of the pictures that are
    mixed with another first.
    """

    teacher_share: float
    blended: float = 0.0


@dataclass(frozen=True)
class Motion:
    """What pairs of frames teach (`motion.py`): pairs a step, and the weight of each loss."""

    pairs: int
    temporal: float
    photometric: float
    flow: float

    def weighted(self, temporal: Tensor, photometric: Tensor, flow: Tensor) -> Tensor:
        """The losses' weighted sum."""
        return self.temporal * temporal + self.photometric * photometric + self.flow * flow


@dataclass(frozen=True)
class Config:
    """The recipe; see config.toml for the meaning of each value."""

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
    perturbation: Perturbation = field(default_factory=Perturbation)
    committee: Labelling | None = None
    motion: Motion | None = None

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return sum(stage.steps for stage in self.stages)


def read_config(file: Path, quick: bool = False) -> Config:
    """Parse the TOML file; an unknown or missing key is an error."""
    raw: dict[str, Any] = tomllib.loads(file.read_text())
    share = QUICK_SHARE if quick else 1.0
    stages = [
        Stage(round(s.pop("images") * share), sizes=[(h, w) for h, w in s.pop("sizes")], **s)
        for s in raw.pop("stages")
    ]
    loss = LossWeights(**raw.pop("loss"))
    perturbation = Perturbation(**raw.pop("perturbation", {}))
    committee = Labelling(**raw.pop("committee")) if "committee" in raw else None
    motion = Motion(**raw.pop("motion")) if "motion" in raw else None
    return Config(
        loss=loss,
        stages=stages,
        perturbation=perturbation,
        committee=committee,
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
    """Share of the full learning rate: warm-up, level, a straight line down to 1%.

    The level part lets a run be shortened or lengthened while it is under way (Haegele et al.,
    "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations", 2024).
    """
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    left = (config.steps - step) / max(config.steps * config.decay_share, 1)
    return max(min(left, 1.0), 0.01)


def run_origin(
    config: Config, start: Path | None, pooled: bool = False, members: Sequence[Path] = ()
) -> Origin:
    """What a run is made from: all of the configuration but how many images its stages see.

    A run may be lengthened while it is under way (`recipe.rate_at`). pooled: `pool.py` makes the
    batches, and others than OpenCV would.
    """
    recipe = asdict(config)
    for stage in recipe["stages"]:
        del stage["images"]
    for key in ("committee", "motion"):
        if recipe[key] is None:  # runs begun before there was such a key go on
            del recipe[key]
    origin = {
        "configuration": hash_of_text(json.dumps(recipe, sort_keys=True)),
        "start weights": hash_of_file(start) if start else "ImageNet's encoder",
    }
    if pooled:
        origin["batches"] = "made on the device"
    if members:
        origin["committee"] = " ".join(hash_of_file(file) for file in members)
    return origin

"""One training run: its network, optimiser, batches, validation and checkpoints."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from depthrt_training.config import Config, rate_at, run_provenance, stage_at
from depthrt_training.data.batches import Batch, training_batch, validation_batch
from depthrt_training.data.device_batches import Pool, change_colours, make_pool, pool_batch
from depthrt_training.data.frame_pairs import Pairs, held_out_errors, training_pairs
from depthrt_training.data.label_cache import (
    LABELLED_BY_NETWORKS,
    Sample,
    Split,
)
from depthrt_training.data.provenance import differences
from depthrt_training.device import HAS_BFLOAT16, device_name
from depthrt_training.losses.depth_loss import depth_loss, invariant_error
from depthrt_training.losses.motion_loss import PairBatch, motion_terms
from depthrt_training.model.network import DepthNet, normalise
from depthrt_training.model.pretrained import find_imagenet_checkpoint, load_imagenet_encoder
from depthrt_training.model.quantisation_aware import predict
from depthrt_training.model.weights_file import load_weights, save_weights, size_text
from depthrt_training.teachers.tcmonodepth_torch import TorchTeacher
from depthrt_training.teachers.teacher_ensemble import BATCH, TeacherEnsemble, label


class OtherRunError(Exception):
    """The checkpoint was made with another configuration or from other start weights."""


class Trainer:
    """The network, its moving average, the optimiser and the progress: what a checkpoint holds."""

    def __init__(
        self,
        config: Config,
        folder: Path,
        start: Path | None = None,
        device: str = "cpu",
        data: Path | None = None,
        members: Sequence[Path] = (),
    ) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.folder = folder
        self.device = torch.device(device)
        self.on_device = self.device.type != "cpu" or config.teacher_ensemble is not None
        self.provenance = run_provenance(config, start, self.on_device, members)
        self.step = 0
        self.seconds = 0.0
        self.images = 0
        self.best = math.inf
        if start:
            self.network = load_weights(start).train()
        else:
            self.network = DepthNet()
            load_imagenet_encoder(self.network, find_imagenet_checkpoint())
            nn.init.constant_(_last_bias(self.network), 2.5)  # the middle of the target's range
        self.network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ensemble: TeacherEnsemble | None = None
        if config.teacher_ensemble:
            share = config.teacher_ensemble.teacher_share
            teacher = TorchTeacher(data) if data and share else None
            networks = [load_weights(file) for file in members]
            self.ensemble = TeacherEnsemble(
                networks, teacher, config.teacher_ensemble.teacher_share
            )
            self.ensemble.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        for block in list(self.network.encoder.blocks)[: config.frozen_blocks]:
            block.requires_grad_(False)
        self.average = copy.deepcopy(self.network).eval()
        encoder = [p for p in self.network.encoder.parameters() if p.requires_grad]
        known = {id(p) for p in self.network.encoder.parameters()}
        decoder = [p for p in self.network.parameters() if id(p) not in known]
        self.optimiser = torch.optim.AdamW(
            [{"params": decoder, "share": 1.0}, {"params": encoder, "share": config.encoder_rate}],
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
        )

    def draw(self, samples: dict[str, list[Sample]], pool: Pool | None) -> Batch:
        """The batch of this step; it depends only on the seed and the step."""
        config, stage = self.config, stage_at(self.config, self.step)
        rng = np.random.default_rng([config.seed, self.step])
        size = stage.sizes[rng.integers(len(stage.sizes))]
        if pool is None:
            return training_batch(
                samples, config.sources, stage.batch, size, rng, stage.full, config.perturbation
            )
        batch, source = pool_batch(pool, config.sources, stage.batch, size, rng, stage.full)
        if self.ensemble and config.teacher_ensemble:
            unlabelled = np.flatnonzero([pool.names[i] in LABELLED_BY_NETWORKS for i in source])
            with torch.autocast(self.device.type, self._half(), enabled=self._has_half()):
                batch = label(
                    batch, unlabelled, self.ensemble, config.teacher_ensemble.blended, rng
                )
        image = change_colours(batch.image, rng, config.perturbation.distorted)
        return replace(batch, image=image)

    def draw_pairs(self, pairs: Pairs | None, size: tuple[int, int]) -> PairBatch | None:
        """The frame pairs of this step; they depend only on the seed and the step."""
        if pairs is None or self.config.motion is None:
            return None
        rng = np.random.default_rng([self.config.seed, self.step, 1])
        return training_pairs(pairs, self.config.motion.pairs, size, rng).to(self.device)

    def _half(self) -> torch.dtype:
        return torch.float16 if self.device.type == "cuda" else torch.bfloat16

    def _has_half(self) -> bool:
        return self.device.type == "cuda" or HAS_BFLOAT16

    def train_step(self, batch: Batch, pairs: PairBatch | None = None) -> Tensor:
        """One optimiser step; returns the loss."""
        rate = rate_at(self.config, self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * rate * group["share"]
        bits = stage_at(self.config, self.step).weight_bits
        full = batch.target.shape[1] == batch.image.shape[2]
        prediction = self._predict(self.network, batch.image, full, bits)
        loss = depth_loss(
            prediction, batch.target, batch.weight, batch.exact, batch.horizon, self.config.loss
        )
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if pairs is not None:  # backward twice: the two graphs never need memory at once
            motion = self.motion_loss(pairs, full, bits)
            motion.backward()  # type: ignore[no-untyped-call]
            loss = loss.detach() + motion
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.gradient_clip)
        self.optimiser.step()
        self.step += 1
        self.images += batch.image.shape[0]
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        update(list(self.average.parameters()), list(self.network.parameters()), None)
        return loss.detach()

    def motion_loss(self, pairs: PairBatch, full: bool, bits: int) -> Tensor:
        """The weighted sum of the losses on frame pairs, at the resolution of the labels."""
        assert self.config.motion is not None
        images = torch.cat([pairs.first, pairs.second])
        first, second = self._predict(self.network, images, full, bits).chunk(2)
        motion = self.config.motion
        rigid = motion.photometric > 0 or motion.flow > 0
        terms = motion_terms(first, second, pairs if full else pairs.halved(), rigid)
        return motion.weighted(*terms)

    def _predict(self, network: DepthNet, image: Tensor, full: bool, bits: int) -> Tensor:
        pixels = normalise(image).to(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._has_half()):
            return predict(network, pixels, full, bits).float()

    def validate(
        self, validation: dict[str, list[Sample]], pairs: Pairs | None = None
    ) -> dict[str, float]:
        """Mean invariant error of the averaged weights for each source, and `score`, their mean.

        `score` chooses the checkpoint. With held-out frame pairs also `motion_temporal` and
        `motion_flow`, for information only. The weights are rounded if the stage rounds them,
        because the shipped file does.
        """
        bits = stage_at(self.config, min(self.step, self.config.steps - 1)).weight_bits
        result = {}
        for source, samples in validation.items():
            if not samples or (self.ensemble and source in LABELLED_BY_NETWORKS):
                continue
            errors = []
            for start in range(0, len(samples), BATCH):
                part = samples[start : start + BATCH]
                whole = (part * BATCH)[:BATCH]  # see `BATCH`
                batch = validation_batch(whole, self.config.size)
                image, target, weight = (
                    tensor.to(self.device) for tensor in (batch.image, batch.target, batch.weight)
                )
                with torch.no_grad():
                    prediction = self._predict(self.average, image, False, bits).relu()
                errors.append(invariant_error(prediction, target, weight)[: len(part)])
            result[source] = torch.cat(errors).mean().item()
        result["score"] = sum(result.values()) / len(result)
        if pairs:
            result |= held_out_errors(
                pairs, lambda image: self._predict(self.average, image, False, bits).relu(),
                self.config.size, BATCH, self.device,
            )  # fmt: skip
        return result

    def save(self) -> None:
        """Write last.pt."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": (self.step, self.images, self.seconds, self.best),
            "origin": self.provenance,
        }
        partial = self.folder / "last.partial"
        torch.save(state, partial)
        partial.replace(self.folder / "last.pt")

    def resume(self) -> None:
        """Continue from last.pt if there is one; one without a provenance is trusted.

        Raises:
            OtherRunError: it was made with another configuration or from other weights.
        """
        file = self.folder / "last.pt"
        if not file.exists():
            return
        state = torch.load(file, map_location=self.device, weights_only=True)
        if what := differences(state.get("origin", self.provenance), self.provenance):
            raise OtherRunError(f"{self.folder} holds a run of other {what}: name another --run")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.images, self.seconds, self.best = state["progress"]

    def run(self, split: Split, pairs: Pairs | None = None) -> None:
        """Train to the last step; batches depend only on the seed and the step."""
        losses: list[Tensor] = []
        pool = make_pool(split.training, self.device) if self.on_device else None
        if self.step == 0:
            self._report(self.validate(split.validation, pairs), None)
        while self.step < self.config.steps:
            start = time.perf_counter()
            stage = stage_at(self.config, self.step)
            if self.step and stage_at(self.config, self.step - 1).weight_bits != stage.weight_bits:
                self.best = math.inf  # earlier errors are those of weights rounded otherwise
            batch = self.draw(split.training, pool)
            height, width = batch.image.shape[2:]
            losses.append(self.train_step(batch, self.draw_pairs(pairs, (height, width))))
            self.seconds += time.perf_counter() - start
            last = self.step == self.config.steps
            if self.step % self.config.validate_every == 0 or last:
                errors = self.validate(split.validation, pairs)
                self._report(errors, torch.stack(losses).mean().item() if losses else None)
                losses.clear()
            if self.step % self.config.checkpoint_every == 0 or last:
                self.save()

    def _report(self, errors: dict[str, float], loss: float | None) -> None:
        facts = {"step": self.step, "steps": self.config.steps, "images": self.images}
        line = {**facts, "minutes": round(self.seconds / 60, 2)}
        if loss is not None:
            line["loss"] = round(loss, 4)
        line |= {name: round(error, 4) for name, error in errors.items()}
        print(json.dumps(line), flush=True)
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        if errors["score"] < self.best:
            self.best = errors["score"]
            metadata = {name: str(value) for name, value in line.items()}
            metadata["arithmetic"] = "bfloat16 autocast" if self._has_half() else "float32"
            metadata["size"] = size_text(self.config.size)
            metadata["device"] = device_name(self.device)
            weights = self.average.state_dict()
            save_weights(self.folder / "best.safetensors", weights, metadata)


def _last_bias(network: DepthNet) -> Tensor:
    layer = network.head[-1]
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is not None
    return layer.bias

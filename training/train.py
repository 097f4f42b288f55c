"""Train depthrt-s from the label cache.

    python training/train.py --config training/config.toml --work WORK [--device cuda]
    python training/train.py --config training/runs/8.toml --work WORK --data DATA
        --start WEIGHTS --committee WEIGHTS

On a GPU the samples lie in its memory and are augmented there (`pool.py`). Where the configuration
has a `[committee]`, photographs, street frames and clips are labelled while training
(`committee.py`) by the teacher in DATA and the weights named by `--committee`. Where it has
`[motion]`, pairs of frames take part in every step (`pairs.py`, `motion.py`).

Resumes from WORK/<run>/last.pt when it is there and of the same configuration and start weights
(stages may have become longer). Writes WORK/<run>/best.safetensors (EMA weights
of the best validation) and WORK/<run>/log.jsonl. `--quick` is a run of about two minutes.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from cache import LABELLED_BY_NETWORKS, Sample, Split, load_cache, without_labels
from committee import BATCH, Committee, label
from data import Batch, training_batch, validation_batch
from losses import depth_loss, invariant_error
from machine import HAS_BFLOAT16, device_name, keep_memory
from motion import PairBatch, motion_terms
from network import NATIVE_SIZE, DepthNet, normalise
from origin import differences
from pairs import Pairs, held_out_errors, training_pairs
from pool import Pool, change_colours, make_pool, pool_batch
from pretrained import find_imagenet_checkpoint, load_imagenet_encoder
from recipe import Config, rate_at, read_config, run_origin, stage_at
from rounded import predict
from teacher_torch import TorchTeacher
from weights_file import load_weights, save_weights


class OtherRunError(Exception):
    """The checkpoint belongs to another run than the one that is asked for."""


class Trainer:
    """Network, its moving average, optimiser and progress: all that a checkpoint holds."""

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
        self.pooled = self.device.type != "cpu" or config.committee is not None
        self.origin = run_origin(config, start, self.pooled, members)
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
        self.committee: Committee | None = None
        if config.committee:
            teacher = TorchTeacher(data) if data and config.committee.teacher_share else None
            networks = [load_weights(file) for file in members]
            self.committee = Committee(networks, teacher, config.committee.teacher_share)
            self.committee.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
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
        """The batch of this step: it depends on the seed and the step alone."""
        config, stage = self.config, stage_at(self.config, self.step)
        rng = np.random.default_rng([config.seed, self.step])
        size = stage.sizes[rng.integers(len(stage.sizes))]
        if pool is None:
            return training_batch(
                samples, config.sources, stage.batch, size, rng, stage.full, config.perturbation
            )
        batch, source = pool_batch(pool, config.sources, stage.batch, size, rng, stage.full)
        if self.committee and config.committee:
            unlabelled = np.flatnonzero([pool.names[i] in LABELLED_BY_NETWORKS for i in source])
            with torch.autocast(self.device.type, self._half(), enabled=self._has_half()):
                batch = label(batch, unlabelled, self.committee, config.committee.blended, rng)
        image = change_colours(batch.image, rng, config.perturbation.distorted)
        return replace(batch, image=image)

    def draw_pairs(self, pairs: Pairs | None, size: tuple[int, int]) -> PairBatch | None:
        """The pairs of this step, by the seed and the step alone as well."""
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
            prediction, batch.target, batch.valid, batch.exact, batch.horizon, self.config.loss
        )
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if pairs is not None:  # one graph after the other takes less memory
            motion = self.motion_loss(pairs, full, bits)
            motion.backward()  # type: ignore[no-untyped-call]
            loss = loss.detach() + motion
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.gradient_clip)
        self.optimiser.step()
        self.step += 1
        self.images += batch.image.shape[0]
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        update = get_ema_multi_avg_fn(decay)
        update(list(self.average.parameters()), list(self.network.parameters()), None)
        return loss.detach()

    def motion_loss(self, pairs: PairBatch, full: bool, bits: int) -> Tensor:
        """The weighted losses of pairs of frames, supervised where the labels are."""
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
        """Mean invariant error of the averaged weights by source, and `score`, their mean.

        Of pairs that are held out `motion_temporal` and `motion_flow`, which choose nothing.
        The weights are rounded where the stage rounds them: that is what will be shipped.
        """
        bits = stage_at(self.config, min(self.step, self.config.steps - 1)).weight_bits
        result = {}
        for source, samples in validation.items():
            if not samples or (self.committee and source in LABELLED_BY_NETWORKS):
                continue
            errors = []
            for start in range(0, len(samples), BATCH):
                part = samples[start : start + BATCH]
                whole = (part * BATCH)[:BATCH]  # see `BATCH`
                batch = validation_batch(whole, NATIVE_SIZE)
                image, target, valid = (
                    tensor.to(self.device) for tensor in (batch.image, batch.target, batch.valid)
                )
                with torch.no_grad():
                    prediction = self._predict(self.average, image, False, bits).relu()
                errors.append(invariant_error(prediction, target, valid)[: len(part)])
            result[source] = torch.cat(errors).mean().item()
        result["score"] = sum(result.values()) / len(result)
        if pairs:
            result |= held_out_errors(
                pairs, lambda image: self._predict(self.average, image, False, bits).relu(),
                NATIVE_SIZE, BATCH, self.device,
            )  # fmt: skip
        return result

    def save(self) -> None:
        """Write last.pt."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": (self.step, self.images, self.seconds, self.best),
            "origin": self.origin,
        }
        partial = self.folder / "last.partial"
        torch.save(state, partial)
        partial.replace(self.folder / "last.pt")

    def resume(self) -> None:
        """Continue from last.pt if it is there; one that does not say its origin is trusted.

        Raises:
            OtherRunError: it was made with another configuration or from other weights.
        """
        file = self.folder / "last.pt"
        if not file.exists():
            return
        state = torch.load(file, map_location=self.device, weights_only=True)
        if what := differences(state.get("origin", self.origin), self.origin):
            raise OtherRunError(f"{self.folder} holds a run of other {what}: name another --run")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.images, self.seconds, self.best = state["progress"]

    def run(self, split: Split, pairs: Pairs | None = None) -> None:
        """Train to the last step; the batches depend on seed and step alone."""
        losses: list[Tensor] = []
        pool = make_pool(split.training, self.device) if self.pooled else None
        if self.step == 0:
            self._report(self.validate(split.validation, pairs), None)
        while self.step < self.config.steps:
            start = time.perf_counter()
            stage = stage_at(self.config, self.step)
            if self.step and stage_at(self.config, self.step - 1).weight_bits != stage.weight_bits:
                self.best = math.inf  # errors of other weights than those that will be shipped
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
            metadata["device"] = device_name(self.device)
            weights = self.average.state_dict()
            save_weights(self.folder / "best.safetensors", weights, metadata)


def _last_bias(network: DepthNet) -> Tensor:
    layer = network.head[-1]
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is not None
    return layer.bias


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Train depthrt-s from the label cache.")
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("config.toml"))
    parser.add_argument("--work", type=Path, required=True, help="cache, checkpoints and logs")
    parser.add_argument("--run", default="depthrt-s", help="folder name under --work")
    parser.add_argument("--start", type=Path, help="weights to start from, not ImageNet's encoder")
    parser.add_argument("--quick", action="store_true", help="about two minutes, to try it out")
    parser.add_argument("--device", default="cpu", help="where to train: cpu, cuda")
    parser.add_argument("--data", type=Path, default=os.environ.get("DEPTHRT_DATA"))
    parser.add_argument(
        "--committee", type=Path, action="append", default=[], metavar="WEIGHTS",
        help="label by these and the teacher what has no ground truth; once for each",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, help="torch threads (default: all cores)")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    keep_memory()
    config = read_config(options.config, options.quick)
    folder: Path = options.work / (options.run + ("-quick" if options.quick else ""))
    folder.mkdir(parents=True, exist_ok=True)
    if config.committee and not options.committee and config.committee.teacher_share < 1:
        parser.error("the configuration has a [committee]: name its weights by --committee")
    if options.committee and not config.committee:
        parser.error("--committee is for a configuration with a [committee]")
    if config.committee and config.committee.teacher_share and options.data is None:
        parser.error("the teacher is in the data folder: name it by --data or DEPTHRT_DATA")
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error(f"--device {options.device}: torch {torch.__version__} sees no GPU here")
    if config.perturbation.covered and (config.committee or options.device != "cpu"):
        parser.error("[perturbation] covered is for training on a CPU without a [committee]")
    trainer = Trainer(
        config, folder, options.start, options.device, options.data, options.committee
    )
    try:
        trainer.resume()
    except OtherRunError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    if trainer.step >= config.steps:
        print(f"{folder}: finished already; name another --run to train anew")
        return
    split = load_cache(options.work / "cache", list(config.sources))
    if empty := [name for name, samples in split.training.items() if not samples]:
        parser.exit(2, f"{parser.prog}: {empty[0]} has no samples: run prepare.py again\n")
    if not config.committee and (source := without_labels(split)):
        parser.exit(2, f"{parser.prog}: {source} has no labels: they need a [committee]\n")
    if config.committee and not set(config.sources) - set(LABELLED_BY_NETWORKS):
        parser.exit(2, f"{parser.prog}: no source has ground truth to choose weights by\n")
    trainer.run(split, Pairs(options.work / "pairs.npz") if config.motion else None)


if __name__ == "__main__":
    main()

"""Train depthrt-s from the label cache.

    python training/train.py --config training/config.toml --work WORK

Resumes from WORK/<run>/last.pt when it is there and of the same configuration and start weights
(stages may have become longer). Writes WORK/<run>/best.safetensors (EMA weights
of the best validation) and WORK/<run>/log.jsonl. `--quick` is a run of about two minutes.
"""

from __future__ import annotations

import argparse
import copy
import ctypes
import json
import math
import sys
import time
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from cache import Sample, Split, load_cache
from data import Batch, training_batch, validation_batch
from losses import depth_loss, invariant_error
from network import NATIVE_SIZE, DepthNet, normalise
from origin import Origin, differences, hash_of_file, hash_of_text
from pretrained import find_imagenet_checkpoint, load_imagenet_encoder
from recipe import Config, rate_at, read_config, stage_at
from rounded import predict
from weights_file import load_weights, save_weights

HAS_BFLOAT16 = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
"""Without the instructions for it bfloat16 is emulated, and several times slower than float32."""


class OtherRunError(Exception):
    """The checkpoint belongs to another run than the one that is asked for."""


def run_origin(config: Config, start: Path | None) -> Origin:
    """What a run is made from: all of the configuration but how many images its stages see.

    A run may be lengthened while it is under way (`recipe.rate_at`).
    """
    recipe = asdict(config)
    for stage in recipe["stages"]:
        del stage["images"]
    return {
        "configuration": hash_of_text(json.dumps(recipe, sort_keys=True)),
        "start weights": hash_of_file(start) if start else "ImageNet's encoder",
    }


class Trainer:
    """Network, its moving average, optimiser and progress: all that a checkpoint holds."""

    def __init__(self, config: Config, folder: Path, start: Path | None = None) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.folder = folder
        self.origin = run_origin(config, start)
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
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
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

    def train_step(self, batch: Batch) -> float:
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
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.gradient_clip)
        self.optimiser.step()
        self.step += 1
        self.images += batch.image.shape[0]
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
            for average, value in pairs:
                average.lerp_(value, 1 - decay)
        return loss.item()

    def _predict(self, network: DepthNet, image: Tensor, full: bool, bits: int) -> Tensor:
        pixels = normalise(image).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=HAS_BFLOAT16):
            return predict(network, pixels, full, bits).float()

    def validate(self, validation: dict[str, list[Sample]]) -> dict[str, float]:
        """Mean invariant error of the averaged weights by source, and `score`, their mean.

        The weights are rounded where the stage rounds them: that is what will be shipped.
        """
        bits = stage_at(self.config, min(self.step, self.config.steps - 1)).weight_bits
        result = {}
        for source, samples in validation.items():
            if not samples:
                continue
            errors = []
            for start in range(0, len(samples), 16):
                batch = validation_batch(samples[start : start + 16], NATIVE_SIZE)
                with torch.no_grad():
                    prediction = self._predict(self.average, batch.image, False, bits).relu()
                errors.append(invariant_error(prediction, batch.target, batch.valid))
            result[source] = torch.cat(errors).mean().item()
        result["score"] = sum(result.values()) / len(result)
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
        state = torch.load(file, weights_only=True)
        if what := differences(state.get("origin", self.origin), self.origin):
            raise OtherRunError(f"{self.folder} holds a run of other {what}: name another --run")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.images, self.seconds, self.best = state["progress"]

    def run(self, split: Split) -> None:
        """Train to the last step; the batches depend on seed and step alone."""
        losses: list[float] = []
        if self.step == 0:
            self._report(self.validate(split.validation), None)
        while self.step < self.config.steps:
            start = time.perf_counter()
            rng = np.random.default_rng([self.config.seed, self.step])
            stage = stage_at(self.config, self.step)
            if self.step and stage_at(self.config, self.step - 1).weight_bits != stage.weight_bits:
                self.best = math.inf  # errors of other weights than those that will be shipped
            size = stage.sizes[rng.integers(len(stage.sizes))]
            batch = training_batch(
                split.training, self.config.sources, stage.batch, size, rng, stage.full,
                self.config.perturbation,
            )  # fmt: skip
            losses.append(self.train_step(batch))
            self.seconds += time.perf_counter() - start
            last = self.step == self.config.steps
            if self.step % self.config.validate_every == 0 or last:
                errors = self.validate(split.validation)
                self._report(errors, float(np.mean(losses)) if losses else None)
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
            metadata["arithmetic"] = "bfloat16 autocast" if HAS_BFLOAT16 else "float32"
            weights = self.average.state_dict()
            save_weights(self.folder / "best.safetensors", weights, metadata)


def keep_memory() -> None:
    """Have glibc keep what it is given back: a step is done in 0.7 of the time.

    Otherwise it returns every large tensor to the system, which clears the same pages for the next.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        for parameter in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD in bytes
            mallopt(parameter, 2**31 - 1)


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
    parser.add_argument("--threads", type=int, help="torch threads (default: all cores)")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    keep_memory()
    config = read_config(options.config, options.quick)
    folder: Path = options.work / (options.run + ("-quick" if options.quick else ""))
    folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(config, folder, options.start)
    try:
        trainer.resume()
    except OtherRunError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    if trainer.step >= config.steps:
        print(f"{folder}: finished already; name another --run to train anew")
        return
    trainer.run(load_cache(options.work / "cache", list(config.sources)))


if __name__ == "__main__":
    main()

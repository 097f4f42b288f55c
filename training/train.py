"""Train depthrt-s from the label cache.

    python training/train.py --config training/config.toml --work WORK [--device cuda]
    python training/train.py --config training/runs/8.toml --work WORK --data DATA
        --start WEIGHTS --committee WEIGHTS

On a GPU the samples lie in its memory and are augmented there (`pool.py`). Where the configuration
has a `[committee]`, photographs, street frames and clips are labelled while training
(`committee.py`) by the teacher in DATA and the weights named by `--committee`.

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
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import get_ema_multi_avg_fn

from cache import LABELLED_BY_NETWORKS, Sample, Split, load_cache
from committee import Committee, blend
from data import Batch, training_batch, validation_batch
from losses import depth_loss, invariant_error
from network import NATIVE_SIZE, DepthNet, normalise
from origin import Origin, differences, hash_of_file, hash_of_text
from pool import Pool, change_colours, make_pool, pool_batch
from pretrained import find_imagenet_checkpoint, load_imagenet_encoder
from recipe import Config, rate_at, read_config, stage_at
from rounded import predict
from teacher_torch import TorchTeacher
from weights_file import load_weights, save_weights

HAS_BFLOAT16 = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
"""Without the instructions for it bfloat16 is emulated, and several times slower than float32."""


BATCH = 16
"""Pictures that are labelled or judged at once, always: cuDNN plans every convolution anew for each
number and size of pictures, which takes seconds."""


class OtherRunError(Exception):
    """The checkpoint belongs to another run than the one that is asked for."""


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
    if recipe["committee"] is None:  # runs begun before there was such a key go on
        del recipe["committee"]
    origin = {
        "configuration": hash_of_text(json.dumps(recipe, sort_keys=True)),
        "start weights": hash_of_file(start) if start else "ImageNet's encoder",
    }
    if pooled:
        origin["batches"] = "made on the device"
    if members:
        origin["committee"] = " ".join(hash_of_file(file) for file in members)
    return origin


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
        image, target, valid = batch.image, batch.target, batch.valid
        unlabelled = np.flatnonzero([pool.names[i] in LABELLED_BY_NETWORKS for i in source])
        if self.committee and config.committee and len(unlabelled):
            index = torch.from_numpy(unlabelled).to(self.device)
            pictures = blend(image[index], rng, config.committee.blended)
            with torch.autocast(self.device.type, self._half(), enabled=self._has_half()):
                labels = in_batches(self.committee, pictures)
            if not stage.full:
                labels = F.avg_pool2d(labels[:, None], 2)[:, 0]
            image = image.index_copy(0, index, pictures)
            target = target.index_copy(0, index, labels)
            valid = valid.index_fill(0, index, True)
        image = change_colours(image, rng, config.perturbation.distorted)
        return replace(batch, image=image, target=target, valid=valid)

    def _half(self) -> torch.dtype:
        return torch.float16 if self.device.type == "cuda" else torch.bfloat16

    def _has_half(self) -> bool:
        return self.device.type == "cuda" or HAS_BFLOAT16

    def train_step(self, batch: Batch) -> Tensor:
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
        update = get_ema_multi_avg_fn(decay)
        update(list(self.average.parameters()), list(self.network.parameters()), None)
        return loss.detach()

    def _predict(self, network: DepthNet, image: Tensor, full: bool, bits: int) -> Tensor:
        pixels = normalise(image).to(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._has_half()):
            return predict(network, pixels, full, bits).float()

    def validate(self, validation: dict[str, list[Sample]]) -> dict[str, float]:
        """Mean invariant error of the averaged weights by source, and `score`, their mean.

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

    def run(self, split: Split) -> None:
        """Train to the last step; the batches depend on seed and step alone."""
        losses: list[Tensor] = []
        pool = make_pool(split.training, self.device) if self.pooled else None
        if self.step == 0:
            self._report(self.validate(split.validation), None)
        while self.step < self.config.steps:
            start = time.perf_counter()
            stage = stage_at(self.config, self.step)
            if self.step and stage_at(self.config, self.step - 1).weight_bits != stage.weight_bits:
                self.best = math.inf  # errors of other weights than those that will be shipped
            losses.append(self.train_step(self.draw(split.training, pool)))
            self.seconds += time.perf_counter() - start
            last = self.step == self.config.steps
            if self.step % self.config.validate_every == 0 or last:
                errors = self.validate(split.validation)
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


def without_labels(split: Split) -> str:
    """The first source of which no pixel is known (`prepare.py --unlabelled`); empty if none."""
    for name, samples in split.training.items():
        if samples and not any(s.mask is None or s.mask.any() for s in samples):
            return name
    return ""


def in_batches(label: Callable[[Tensor], Tensor], pictures: Tensor) -> Tensor:
    """Labels of N,3,H,W, `BATCH` at a time; the last batch is filled up with copies."""
    missing = -len(pictures) % BATCH
    filled = torch.cat([pictures, pictures[:1].expand(missing, -1, -1, -1)])
    return torch.cat([label(part) for part in filled.split(BATCH)])[: len(pictures)]


def keep_memory() -> None:
    """Have glibc keep what it is given back: a step is done in 0.7 of the time.

    Otherwise it returns every large tensor to the system, which clears the same pages for the next.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        for parameter in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD in bytes
            mallopt(parameter, 2**31 - 1)


def device_name(device: torch.device) -> str:
    """As it stands in the figures."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {os.cpu_count()} cores"


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
    trainer.run(split)


if __name__ == "__main__":
    main()

"""Train depthrt-s from the label cache.

    python -m depthrt_training.train --work WORK [--config CONFIG.toml] [--device cuda]
    python -m depthrt_training.train --config training/configs/runs/8.toml --work WORK --data DATA
        --start WEIGHTS --ensemble WEIGHTS

On a GPU the samples lie in its memory and are augmented there (`data/device_batches.py`). If the
configuration has a `[teacher_ensemble]`, photographs, street frames and clips are labelled while
training, by the teacher in DATA and the weights that `--ensemble` names. If it has `[motion]`,
every step also sees pairs of video frames (`data/frame_pairs.py`, `losses/motion_loss.py`).

Writes into WORK/<run>:

- last.pt: the checkpoint. A run of the same configuration and start weights resumes from it; its
  stages may have become longer;
- best.safetensors: the averaged weights (EMA) of the best validation;
- log.jsonl: one line for each validation.

`--quick` is a trial run of about two minutes.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import cv2
import torch

from depthrt_training.config import CONFIGS, read_config
from depthrt_training.data.frame_pairs import Pairs
from depthrt_training.data.label_cache import (
    LABELLED_BY_NETWORKS,
    load_cache,
    without_labels,
)
from depthrt_training.device import keep_memory
from depthrt_training.trainer import OtherRunError, Trainer


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Train depthrt-s from the label cache.")
    parser.add_argument("--config", type=Path, default=CONFIGS / "depthrt-s.toml")
    parser.add_argument("--work", type=Path, required=True, help="cache, checkpoints and logs")
    parser.add_argument("--run", default="depthrt-s", help="folder name under --work")
    parser.add_argument(
        "--start", type=Path, help="weights to start from; default: ImageNet's encoder"
    )
    parser.add_argument("--quick", action="store_true", help="about two minutes, to try it out")
    parser.add_argument("--device", default="cpu", help="where to train: cpu, cuda")
    parser.add_argument("--data", type=Path, default=os.environ.get("DEPTHRT_DATA"))
    parser.add_argument(
        "--ensemble", type=Path, action="append", default=[], metavar="WEIGHTS",
        help="weights that label pictures without ground truth, with the teacher; repeatable",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, help="torch threads (default: all cores)")
    parser.add_argument("--seed", type=int, help="another seed than the configuration's")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    keep_memory()
    config = read_config(options.config, options.quick)
    if options.seed is not None:
        config = replace(config, seed=options.seed)
    folder: Path = options.work / (options.run + ("-quick" if options.quick else ""))
    folder.mkdir(parents=True, exist_ok=True)
    ensemble = config.teacher_ensemble
    if ensemble and not options.ensemble and ensemble.teacher_share < 1:
        parser.error("the configuration has a [teacher_ensemble]: name its weights by --ensemble")
    if options.ensemble and not ensemble:
        parser.error("--ensemble is for a configuration with a [teacher_ensemble]")
    if ensemble and ensemble.teacher_share and options.data is None:
        parser.error("the teacher is in the data folder: name it by --data or DEPTHRT_DATA")
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error(f"--device {options.device}: torch {torch.__version__} sees no GPU here")
    if config.perturbation.covered and (ensemble or options.device != "cpu"):
        parser.error("[perturbation] covered needs a CPU and no [teacher_ensemble]")
    trainer = Trainer(config, folder, options.start, options.device, options.data, options.ensemble)
    try:
        trainer.resume()
    except OtherRunError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    if trainer.step >= config.steps:
        print(f"{folder}: finished already; name another --run to train anew")
        return
    split = load_cache(options.work / "cache", list(config.sources))
    if empty := [name for name, samples in split.training.items() if not samples]:
        parser.exit(
            2, f"{parser.prog}: {empty[0]} has no samples: run depthrt_training.prepare again\n"
        )
    if not ensemble and (source := without_labels(split)):
        parser.exit(2, f"{parser.prog}: {source} has no labels: they need a [teacher_ensemble]\n")
    if ensemble and not set(config.sources) - set(LABELLED_BY_NETWORKS):
        parser.exit(2, f"{parser.prog}: no source has ground truth to choose weights by\n")
    trainer.run(split, Pairs(options.work / "pairs.npz") if config.motion else None)


if __name__ == "__main__":
    main()

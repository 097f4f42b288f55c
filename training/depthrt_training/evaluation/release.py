"""Write the released weights with their metadata, and the figures file beside them.

    python -m depthrt_training.evaluation.release --work WORK --data DATA
    python -m depthrt_training.evaluation.release --weights MEAN.safetensors --data DATA

The figures are those of the released float16 tensors (computed in float32), not of the
checkpoint that was rounded to them.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
import torch

from depthrt_training.config import CONFIGS, Config, read_config
from depthrt_training.evaluation.evaluate import PROTOCOL, evaluate, five_sets, network_predictor
from depthrt_training.model.weights_file import (
    load_weights,
    read_metadata,
    save_weights,
    size_text,
)
from depthrt_training.teachers.tcmonodepth import Teacher

ROOT = Path(__file__).parents[2]


def training_facts(config: Config, checkpoint: dict[str, str]) -> dict[str, Any]:
    """What was trained, how long, and on which machine.

    checkpoint: metadata of a run's weights. Those of released weights, which a mean may carry, say
    how many images were seen; what they do not say is None.
    """

    def number(*keys: str) -> float | None:
        return next((float(checkpoint[key]) for key in keys if key in checkpoint), None)

    def whole(*keys: str) -> int | None:
        value = number(*keys)
        return None if value is None else int(value)

    return {
        "images_seen": whole("images", "images_seen"),
        "minutes": number("minutes"),
        "step": whole("step"),
        "steps_planned": config.steps,
        "validation_score": number("score"),
        "seed": config.seed,
        "sources": config.sources,
        "device": checkpoint.get("device", f"CPU, {os.cpu_count()} cores"),
        "arithmetic": checkpoint.get("arithmetic", "not recorded"),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "opencv": cv2.__version__,
            "onnxruntime": ort.__version__,
        },
    }


def recipe_summary(config: Config) -> str:
    """The recipe in one line, for the metadata."""
    return (
        "MobileNetV2 encoder from ImageNet (batch norm folded, stem to stride 4 frozen); "
        "labels of other networks, ground truth of RGB-D cameras, stereo pairs and renders; "
        "trimmed scale-and-shift-invariant L1, gradient matching, scale anchor; "
        f"AdamW, EMA, {sum(stage.images for stage in config.stages)} images, seed {config.seed}"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Write the released weights and their figures.")
    parser.add_argument("--weights", type=Path, help="this file, in place of a run's best weights")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--name", default="depthrt-s", help="of the model")
    parser.add_argument("--run", help="default: the model's name")
    parser.add_argument("--config", type=Path, default=CONFIGS / "depthrt-s.toml")
    parser.add_argument("--data", type=Path, default=os.environ.get("DEPTHRT_DATA"))
    parser.add_argument("--note", help="anything about the run that the configuration does not say")
    parser.add_argument("--out", type=Path, default=ROOT / "weights")
    options = parser.parse_args()
    if options.data is None:
        parser.error("name the data folder by --data or DEPTHRT_DATA")
    if options.weights is None and options.work is None:
        parser.error("name the weights by --weights, or a run by --work and --run")
    best: Path = (
        options.weights or options.work / (options.run or options.name) / "best.safetensors"
    )
    config = read_config(options.config)
    facts = training_facts(config, read_metadata(best))
    if options.note:
        facts["note"] = options.note
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    metadata = {
        "name": options.name,
        "size": size_text(config.size),
        "date": date,
        "licence": "Apache-2.0",
        "recipe": recipe_summary(config),
        "images_seen": str(facts["images_seen"]),
    }
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    weights = out / f"{options.name}.safetensors"
    save_weights(weights, load_weights(best).state_dict(), metadata)
    network = load_weights(weights)
    teacher = Teacher(options.data)
    report = {
        "name": options.name,
        "size": config.size,
        "date": date,
        "parameters": sum(p.numel() for p in network.parameters()),
        "training": facts,
        "protocol": PROTOCOL,
        "float": evaluate(five_sets(options.data), network_predictor(network, config.size)),
        "reference": {"tcmonodepth-small": evaluate(five_sets(options.data), teacher.predict)},
    }
    text = json.dumps(report, indent=2)
    (out / f"{options.name}.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()

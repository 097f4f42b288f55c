"""Errors of weights files by kind of place: what chooses between them, and what is only reported.

    python -m depthrt_training.evaluation.by_domain [NAME=]WEIGHTS... --work WORK --out FILE.json

Held out: the invariant error that training logs (`losses/depth_loss.py`) on the tenth of every
source that no training of this cache sees, and its mean by domain and over the domains (`score`);
labels of networks count as far as their teachers agree. Reported: AbsRel and delta1 on sets that
nothing is trained on, by `evaluate.py`'s protocol; they choose nothing.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import torch

from depthrt_benchmarks.common.environment import write_result
from depthrt_training.data.batches import validation_batch
from depthrt_training.data.label_cache import LABELLED_BY_NETWORKS, Sample, load_cache
from depthrt_training.data.provenance import hash_of_file
from depthrt_training.evaluation.evaluate import PROTOCOL, evaluate_set, network_predictor
from depthrt_training.losses.depth_loss import invariant_error
from depthrt_training.model.network import DepthNet, normalise
from depthrt_training.model.quantisation_aware import predict
from depthrt_training.model.weights_file import load_weights, size_of

DOMAINS = {
    "rooms": ("rooms", "tum_fr1_rpy", "aims_lab", "replica_office0"),
    "roads": ("roads", "driving", "kitti00", "virtual_kitti2"),
    "photographs": ("photographs", "clips"),
    "stereo and close-ups": ("middlebury", "oak_d", "eth3d", "apc_bin_closeup"),
    "renders": ("rendered_indoor", "rendered_outdoor"),
}
REPORTED = (
    "realsense_desk",
    "phone_lidar_desk",
    "box_on_floor",
    "kitti_lidar_jam",
    "slambook_icl_livingroom",
    "tum_fr2_desk",
    "o3d_tum_fr3_desk",
    "mallet_on_floor",
    "arc_totes",
)
"""Sets in `rgbd` of the data folder that nothing is trained on."""


def held_out_error(
    network: DepthNet, samples: list[Sample], bits: int, size: tuple[int, int]
) -> float:
    """Mean invariant error of whole pictures at a height and width."""
    errors = []
    for start in range(0, len(samples), 16):
        batch = validation_batch(samples[start : start + 16], size)
        with torch.inference_mode():
            depth = predict(network, normalise(batch.image), False, bits).relu()
        errors.append(invariant_error(depth, batch.target, batch.weight))
    return torch.cat(errors).mean().item()


def by_domain(errors: dict[str, float]) -> dict[str, float]:
    """The mean over the sources of each domain, and `score`, the mean over the domains."""
    means = {}
    for domain, names in DOMAINS.items():
        found = [errors[name] for name in names if name in errors]
        if found:
            means[domain] = sum(found) / len(found)
    return {**means, "score": sum(means.values()) / len(means)}


def figures(file: Path, held_out: dict[str, list[Sample]], data: Path, bits: int) -> dict[str, Any]:
    """Everything that is said about one weights file."""
    network = load_weights(file).eval()
    size = size_of(file)
    errors = {name: held_out_error(network, s, bits, size) for name, s in held_out.items() if s}
    sets = {
        name: evaluate_set(data / "rgbd" / name, network_predictor(network, size))
        for name in REPORTED
        if (data / "rgbd" / name).is_dir()
    }
    return {
        "sha256": hash_of_file(file),
        "held_out": {name: round(value, 4) for name, value in errors.items()},
        "held_out_by_domain": {n: round(value, 4) for n, value in by_domain(errors).items()},
        "reported_float": {
            name: {key: found[key] for key in ("abs_rel", "delta1", "images")}
            for name, found in sets.items()
        },
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("weights", type=Path, nargs="+", metavar="[NAME=]WEIGHTS")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=os.environ.get("DEPTHRT_DATA"))
    parser.add_argument("--bits", type=int, default=0, help="round weights to so many bits; 0: not")
    parser.add_argument("--every", type=int, default=1, help="use every n-th rendered image")
    parser.add_argument("--out", type=Path, required=True, help="the JSON")
    options = parser.parse_args()
    if options.data is None:
        parser.error("name the data folder by --data or DEPTHRT_DATA")
    cache: Path = options.work / "cache"
    known = [name for names in DOMAINS.values() for name in names]
    sources = [name for name in known if (cache / f"{name}.npz").exists()]
    held_out = {
        name: samples[:: options.every if name.startswith("rendered") else 1]
        for name, samples in load_cache(cache, sources).validation.items()
    }
    report: dict[str, Any] = {
        "protocol": PROTOCOL,
        "held_out_images": {name: len(samples) for name, samples in held_out.items()},
        "labelled_by_networks": [name for name in held_out if name in LABELLED_BY_NETWORKS],
        "weight_bits_held_out": options.bits,
    }
    for given in options.weights:
        name, _, file = str(given).rpartition("=")
        report[name or given.stem] = figures(Path(file), held_out, Path(options.data), options.bits)
        print(name or given.stem, report[name or given.stem]["held_out_by_domain"], flush=True)
        write_result(options.out, report)


if __name__ == "__main__":
    main()

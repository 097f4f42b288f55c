"""Errors of weights files on held-out ground truth; they choose between weights.

    python -m depthrt_training.evaluation.held_out WEIGHTS... --work WORK [--bits 7] [--every 2]

Prints two lines for each file, with a figure for each source and their mean: the invariant error
that training logs, and AbsRel after alignment of inverse depth (`depth_loss.relative_error`; not
for cropped stereo pairs).
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch

from depthrt_training.data.batches import validation_batch
from depthrt_training.data.label_cache import LABELLED_BY_NETWORKS, Sample, load_cache
from depthrt_training.losses.depth_loss import invariant_error, relative_error
from depthrt_training.model.network import DepthNet, normalise
from depthrt_training.model.quantisation_aware import predict
from depthrt_training.model.weights_file import load_weights, size_of


def errors(
    network: DepthNet, samples: list[Sample], bits: int, size: tuple[int, int]
) -> tuple[float, float]:
    """Mean invariant error and mean AbsRel; the latter is NaN without a horizon."""
    invariant, relative = [], []
    for start in range(0, len(samples), 16):
        batch = validation_batch(samples[start : start + 16], size)
        with torch.inference_mode():
            depth = predict(network, normalise(batch.image), False, bits).relu()
        invariant.append(invariant_error(depth, batch.target, batch.valid))
        if not batch.horizon.isnan().any():
            relative.append(relative_error(depth, batch.target, batch.valid, batch.horizon))
    mean_relative = torch.cat(relative).mean().item() if relative else math.nan
    return torch.cat(invariant).mean().item(), mean_relative


def line(name: str, values: dict[str, float]) -> str:
    """One printed line: the values that are not NaN, and their mean."""
    known = [value for value in values.values() if not math.isnan(value)]
    cells = [f"{source} {value:.3f}" for source, value in values.items() if value in known]
    return f"{name}: {', '.join(cells)}, mean {sum(known) / len(known):.4f}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument(
        "--bits", type=int, default=7, help="bits that weights are rounded to; 0: not"
    )
    parser.add_argument("--every", type=int, default=1, help="use every n-th rendered image")
    options = parser.parse_args()
    cache: Path = options.work / "cache"
    sources = [f.stem for f in sorted(cache.glob("*.npz")) if f.stem not in LABELLED_BY_NETWORKS]
    held_out = load_cache(cache, sources).validation
    for file in options.weights:
        network = load_weights(file).eval()
        found = {}
        for source, samples in held_out.items():
            if not samples:
                continue
            step = options.every if source.startswith("rendered") else 1
            found[source] = errors(network, samples[::step], options.bits, size_of(file))
        print(file)
        print(line("  invariant", {source: pair[0] for source, pair in found.items()}))
        print(line("  AbsRel", {source: pair[1] for source, pair in found.items()}), flush=True)


if __name__ == "__main__":
    main()

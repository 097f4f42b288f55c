"""Average several weights files; the metadata is that of the last.

    python -m depthrt_training.model.average_weights FIRST LAST --out MEAN.safetensors

Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022: on pictures unlike the
training set, weights between those before and after a fine-tuning can be better than both.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from depthrt_training.model.weights_file import load_weights, read_metadata, save_weights


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    states = [load_weights(file).state_dict() for file in options.weights]
    mean = {name: torch.stack([s[name] for s in states]).mean(dim=0) for name in states[0]}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_weights(options.out, mean, read_metadata(options.weights[-1]))


if __name__ == "__main__":
    main()

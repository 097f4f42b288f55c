"""Your own network, from its class (own_network.py) to a proven int8 file that runs.

python own_network_to_int8.py [FOLDER]        # makes own_float.onnx and own_int8.onnx there
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

import depthrt
import own_network


def train(network: nn.Module) -> None:
    """In place of your training: copy the built-in model on the demo clip, 80 steps.

    That is enough for weights that mean something, and not for anything else.
    """
    images, depths = [], []
    spec = depthrt.InputSpec(96, 128)
    with depthrt.stream("demo", selection=depthrt.Selection(stride=4)) as results:
        for result in results:
            images.append(depthrt.prepare(result.frame.image, spec))
            depths.append(result.depth.values)
    x = (torch.from_numpy(np.stack(images)) / 255 - 0.5) / 0.5  # as DEPTHRT says
    y = torch.from_numpy(np.stack(depths))[:, None]
    y = nn.functional.interpolate(y, x.shape[2:], mode="bilinear")
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(80):
        chosen = torch.randperm(len(x))[:8]
        loss = (network(x[chosen]) - y[chosen]).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def run_depthrt(*words: str) -> None:
    """The same as `depthrt ...` in a terminal."""
    print("depthrt", *words, flush=True)
    subprocess.run([sys.executable, "-m", "depthrt", *words], check=True)


def main(folder: Path) -> None:
    torch.manual_seed(0)
    network = own_network.build()
    train(network.train())
    checkpoint = str(folder / "own.pt")
    torch.save(network.state_dict(), checkpoint)

    # Each file is compared on real frames before it is put in place: float32 with PyTorch, int8
    # with float32. Give frames of your own camera: --frames drive.mp4; else it is the demo clip.
    export = ("export", f"{own_network.__file__}:build", "--checkpoint", checkpoint, "--overwrite")
    run_depthrt(*export, "-o", str(folder / "own_float.onnx"))
    run_depthrt(*export, "-o", str(folder / "own_int8.onnx"), "--precision", "int8")

    model = depthrt.DepthModel.load(folder / "own_int8.onnx")
    with depthrt.stream("demo", model, selection=depthrt.Selection(max_frames=1)) as results:
        values = next(results).depth.values
    print(f"{model.spec.precision}: {values.shape}, {values.min():.3f} to {values.max():.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))

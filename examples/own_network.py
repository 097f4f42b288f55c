"""Your own network, from its class to a proven int8 file that runs.

    python own_network.py [FOLDER]        # makes own_float.onnx and own_int8.onnx there

Your training stands in `train`; this one copies the built-in model on the demo clip for some
seconds, which is enough to have weights that mean something and not enough for anything else.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import depthrt

# What `depthrt export` cannot know: it stands beside the function that builds the network.
DEPTHRT = {
    "kind": "inverse-depth",  # larger is nearer
    "size": (96, 128),  # height and width
    "scale": 1 / 255,  # the network's input is (pixel x scale - mean) / std
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
    "licence": "Apache-2.0",
}


class OwnNetwork(nn.Module):
    """Normalised pixels N,3,H,W to inverse depth N,1,H,W."""

    def __init__(self) -> None:
        super().__init__()
        sides = [(3, 16, 2), (16, 32, 2), (32, 64, 2), (64, 64, 1)]
        steps = [
            nn.Sequential(nn.Conv2d(i, o, 3, s, 1), nn.BatchNorm2d(o), nn.ReLU())
            for i, o, s in sides
        ]
        self.body = nn.Sequential(*steps, nn.Conv2d(64, 1, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.interpolate(self.body(x), scale_factor=8.0, mode="bilinear")
        return torch.relu(y)


def build() -> nn.Module:
    """What `depthrt export own_network.py:build` calls."""
    return OwnNetwork()


def train(network: nn.Module) -> None:
    """In place of yours: 80 steps after the built-in model, on every fourth frame of the clip."""
    spec = depthrt.InputSpec(*DEPTHRT["size"])  # type: ignore[misc]
    images, depths = [], []
    with depthrt.stream("demo", selection=depthrt.Selection(stride=4)) as results:
        for result in results:
            images.append(depthrt.prepare(result.frame.image, spec))
            depths.append(result.depth.values)
    x = (torch.from_numpy(np.stack(images)) / 255 - 0.5) / 0.5
    y = torch.from_numpy(np.stack(depths))[:, None]
    y = nn.functional.interpolate(y, x.shape[2:], mode="bilinear")
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(80):
        chosen = torch.randperm(len(x))[:8]
        loss = (network(x[chosen]) - y[chosen]).abs().mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()


def depthrt_command(*words: str) -> None:
    """The same as `depthrt ...` in a terminal."""
    print("depthrt", *words, flush=True)
    subprocess.run([sys.executable, "-m", "depthrt", *words], check=True)


def main(folder: Path) -> None:
    torch.manual_seed(0)
    network = build()
    train(network.train())
    checkpoint = str(folder / "own.pt")
    torch.save(network.state_dict(), checkpoint)

    # Each file is compared with PyTorch on real frames before it is put in place. For int8, give
    # frames of your own camera: --frames drive.mp4; without them it is the demo clip.
    export = ("export", f"{__file__}:build", "--checkpoint", checkpoint, "--overwrite")
    depthrt_command(*export, "-o", str(folder / "own_float.onnx"))
    depthrt_command(*export, "-o", str(folder / "own_int8.onnx"), "--precision", "int8")

    model = depthrt.DepthModel.load(folder / "own_int8.onnx")
    with depthrt.stream("demo", model, selection=depthrt.Selection(max_frames=1)) as results:
        depth = next(results).depth
    low, high = depth.values.min(), depth.values.max()
    print(f"{model.spec.precision}: {depth.values.shape}, {low:.3f} to {high:.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))

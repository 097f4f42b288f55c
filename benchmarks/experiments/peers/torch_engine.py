"""A network in PyTorch itself, as it was trained: eager, or through torch.compile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def load_whole(order: dict[str, Any]) -> Any:
    """The network with its normalisation in front: float pixels 0..255, N,3,H,W, to N,H,W."""
    import torch
    from torch import Tensor, nn

    from depthrt_export.options import SourceOptions
    from depthrt_export.sources.load import load_network
    from depthrt_export.sources.outputs import to_depth
    from depthrt_export.sources.torch_network import probe

    said = dict(order["said"])
    if said.get("checkpoint"):
        said["checkpoint"] = Path(said["checkpoint"])
    for key in ("size", "mean", "std", "valid_range"):
        said[key] = None if said.get(key) is None else tuple(said[key])
    network = load_network(order["source"], SourceOptions(**said))
    form = probe(network)

    class Whole(nn.Module):
        mean: Tensor
        std: Tensor

        def __init__(self) -> None:
            super().__init__()
            how = network.normalisation
            self.module, self.scale = network.module, how.scale
            self.register_buffer("mean", torch.tensor(how.mean).reshape(1, 3, 1, 1))
            self.register_buffer("std", torch.tensor(how.std).reshape(1, 3, 1, 1))

        def forward(self, pixels: Tensor) -> Tensor:
            output = self.module((pixels * self.scale - self.mean) / self.std)
            return to_depth(output, pixels.shape[-2:], form)

    return Whole().eval(), network.input


def open_engine(order: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """``compile`` in the order: torch.compile with its default mode."""
    import torch

    torch.set_num_threads(order["threads"])
    module, _ = load_whole(order)
    function = torch.compile(module) if order.get("compile") else module

    def run(images: Any) -> Any:
        with torch.inference_mode():
            return np.asarray(function(torch.from_numpy(images).float()).numpy())

    return run, {"versions": {"torch": torch.__version__}}

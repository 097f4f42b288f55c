"""Read and write the weights file: float16 tensors in safetensors with its facts as metadata."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from depthrt_training.model.network import NATIVE_SIZE, DepthNet


def save_weights(file: Path, state: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write float16 tensors; the file appears under its name only when whole."""
    half = {name: tensor.detach().to(torch.float16).contiguous() for name, tensor in state.items()}
    partial = file.with_suffix(".partial")
    save_file(half, partial, metadata=metadata)
    partial.chmod(0o644)  # safetensors creates files that only the owner can read
    partial.replace(file)


def load_weights(file: Path) -> DepthNet:
    """The network in inference mode with the file's weights as float32."""
    network = DepthNet()
    state = load_file(file)
    network.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    return network.eval()


def size_text(size: tuple[int, int]) -> str:
    """A height and width in pixels as the metadata has them: ``224x288``."""
    return f"{size[0]}x{size[1]}"


def size_of(file: Path) -> tuple[int, int]:
    """Height and width in pixels that a file's weights are for; the native size if it is silent."""
    said = read_metadata(file).get("size")
    if said is None:
        return NATIVE_SIZE
    height, width = map(int, said.split("x"))
    return height, width


def read_metadata(file: Path) -> dict[str, str]:
    """The metadata of a weights file, as the trainer wrote it."""
    with safe_open(file, framework="pt") as handle:
        return dict(handle.metadata() or {})

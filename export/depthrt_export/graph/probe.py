"""Does the network take this size, and is what it gives a depth map?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from depthrt.errors import UsageError
from depthrt_export.sources.network import DepthNetwork

_STEPS = (8, 14, 16, 32, 64)  # strides that depth networks are made of
_MAX_ASPECT_DRIFT = 0.05  # an output of another size is the same picture if its aspect is


@dataclass(frozen=True)
class OutputForm:
    """How the network's output becomes N,H,W: ``channel`` is squeezed, ``resize`` bilinear."""

    channel: bool
    resize: bool


def probe(network: DepthNetwork) -> OutputForm:
    """Run the network once on a grey picture at the export size and look at what comes out.

    Raises:
        UsageError: the size does not fit (with the nearest that does), or the output is no depth
            map N,H,W or N,1,H,W.
    """
    size = (network.input.height, network.input.width)
    output = run_grey(network, size)
    if isinstance(output, Exception):
        raise UsageError(_size_refusal(network, size, output)) from output
    return _form(output, size, network.name)


def run_grey(network: DepthNetwork, size: tuple[int, int]) -> Any:
    """The network's output on zeros (the mean picture) 1,3,H,W, or the error that it raised."""
    try:
        with torch.inference_mode():
            return network.module(torch.zeros(1, 3, *size))
    except Exception as error:  # a user's network may raise anything
        return error


def _form(output: Any, size: tuple[int, int], name: str) -> OutputForm:
    if not isinstance(output, Tensor):
        raise UsageError(
            f"{name} returns {_describe(output)}, not a depth map: give a network that returns one "
            "tensor N,H,W or N,1,H,W"
        )
    shape = tuple(output.shape)
    if not output.is_floating_point() or len(shape) not in (3, 4) or shape[0] != 1:
        raise UsageError(
            f"{name} returns {output.dtype} {shape}, not a depth map N,H,W or N,1,H,W of floats"
        )
    if len(shape) == 4 and shape[1] != 1:
        raise UsageError(
            f"{name} returns {shape[1]} channels {shape}, not a depth map: it must have one channel"
        )
    height, width = shape[-2:]
    drift = abs((height / width) / (size[0] / size[1]) - 1) if height > 1 and width > 1 else 1.0
    if drift > _MAX_ASPECT_DRIFT:
        raise UsageError(
            f"{name} returns {height}x{width} for a picture of {size[0]}x{size[1]}: that is no "
            "depth map of the picture"
        )
    return OutputForm(channel=len(shape) == 4, resize=(height, width) != size)


def _describe(output: Any) -> str:
    if isinstance(output, (tuple, list)):
        return f"a {type(output).__name__} of {len(output)}"
    return f"a {type(output).__name__}"


def _size_refusal(network: DepthNetwork, size: tuple[int, int], error: Exception) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    nearest = nearest_size(network, size)
    if nearest is None:
        return f"{network.name} fails on a picture of {size[0]}x{size[1]}: {reason}"
    return (
        f"{network.name} cannot take {size[0]}x{size[1]} ({reason}): the nearest size that it can "
        f"is --size {nearest[0]}x{nearest[1]}"
    )


def nearest_size(network: DepthNetwork, size: tuple[int, int]) -> tuple[int, int] | None:
    """The size nearest to this one, with sides that are multiples of a usual stride, that runs."""
    candidates = {
        (max(step, round(size[0] / step) * step), max(step, round(size[1] / step) * step))
        for step in _STEPS
    } - {size}

    def distance(other: tuple[int, int]) -> int:
        return abs(other[0] - size[0]) + abs(other[1] - size[1])

    for candidate in sorted(candidates, key=distance):
        if isinstance(run_grey(network, candidate), Tensor):
            return candidate
    return None

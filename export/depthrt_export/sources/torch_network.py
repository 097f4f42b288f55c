"""A depth network in PyTorch, and what it gives for a picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from depthrt.errors import UsageError
from depthrt_export.sources.network import (
    DepthNetwork,
    Normalisation,
    Outputs,
    Reference,
    filled_depth,
)
from depthrt_export.sources.optional_outputs import to_optional, with_optional
from depthrt_export.sources.outputs import (
    OutputForm,
    find_form,
    named_tensors,
    not_depth,
    to_depth,
    without_autocast,
)


@dataclass(frozen=True, eq=False, kw_only=True)
class TorchNetwork(DepthNetwork):
    """A trained network.

    - ``module``: in eval mode on the CPU in float32; it maps normalised float32 N,3,H,W to depth.
    """

    module: nn.Module

    @classmethod
    def of(cls, module: nn.Module, said: DepthNetwork) -> TorchNetwork:
        """A module and what is said of it."""
        values = {f.name: getattr(said, f.name) for f in dataclasses.fields(DepthNetwork)}
        return cls(**values, module=module)


_STEPS = (8, 14, 16, 32, 64)  # strides that depth networks are made of


def probe(network: TorchNetwork) -> OutputForm:
    """Run the network once on a grey picture at the export size and look at what comes out.

    Raises:
        UsageError: the size does not fit (with the nearest that does), or no depth map or several
            come out.
    """
    size = (network.input.height, network.input.width)
    output = run_grey(network, size)
    if isinstance(output, Exception):
        raise UsageError(_size_refusal(network, size, output)) from output
    form = find_form(output, size, network.name, network.output, not_depth(network.also))
    if not network.also and len(named_tensors(output)) < 2:
        return form
    return with_optional(form, output, size, network.also, network.name)


def run_grey(network: TorchNetwork, size: tuple[int, int]) -> Any:
    """The network's output on zeros (the mean picture) 1,3,H,W, or the error that it raised."""
    try:
        with torch.inference_mode(), without_autocast():
            return network.module(torch.zeros(1, 3, *size))
    except Exception as error:  # a user's network may raise anything
        return error


def _size_refusal(network: TorchNetwork, size: tuple[int, int], error: Exception) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    nearest = nearest_size(network, size)
    if nearest is None:
        return f"{network.name} fails on a picture of {size[0]}x{size[1]}: {reason}"
    return (
        f"{network.name} cannot take {size[0]}x{size[1]} ({reason}): the nearest size that it can "
        f"is --size {nearest[0]}x{nearest[1]}"
    )


def nearest_size(network: TorchNetwork, size: tuple[int, int]) -> tuple[int, int] | None:
    """The size nearest to this one, with sides that are multiples of a usual stride, that runs."""
    candidates = {
        (max(step, round(size[0] / step) * step), max(step, round(size[1] / step) * step))
        for step in _STEPS
    } - {size}

    def distance(other: tuple[int, int]) -> int:
        return abs(other[0] - size[0]) + abs(other[1] - size[1])

    for candidate in sorted(candidates, key=distance):
        if not isinstance(run_grey(network, candidate), Exception):
            return candidate
    return None


def torch_outputs(network: TorchNetwork, form: OutputForm) -> Outputs:
    """The PyTorch network on pixels uint8 N,3,H,W, normalised by the book.

    It gives depth and the optional outputs by name, as the file will.
    """
    how = network.normalisation
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (how.mean, how.std))

    def run(images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        with torch.inference_mode(), without_autocast():
            pixels = torch.from_numpy(images).float()
            normalised = (pixels * how.scale - mean) / std
            output = network.module(normalised.flip(1) if network.bgr else normalised)
            size = pixels.shape[-2:]
            tensors = [to_depth(output, size, form)]
            if form.optional:
                tensors.extend(to_optional(output, size, form.optional))
            names = ("depth", *(each.name for each in form.optional))
            return {n: tensor.numpy() for n, tensor in zip(names, tensors, strict=True)}

    return run


def torch_reference(network: TorchNetwork, form: OutputForm) -> Reference:
    """The depth of :func:`torch_outputs`, float32 N,H,W, filled where it is not valid."""
    run = torch_outputs(network, form)
    return lambda images: filled_depth(run(images))


def fed(network: TorchNetwork, form: OutputForm) -> Callable[[Normalisation], Reference]:
    """The network fed with pixels of another normalisation."""

    def reference(how: Normalisation) -> Reference:
        return torch_reference(dataclasses.replace(network, normalisation=how), form)

    return reference

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
    nearest_size,
    size_refusal,
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


def probe(network: TorchNetwork) -> OutputForm:
    """Run the network once on a grey picture at the export size and look at what comes out.

    Raises:
        UsageError: the size does not fit (with the nearest that does), or no depth map or several
            come out.
    """
    size = (network.input.height, network.input.width)
    output = run_grey(network, size)
    if isinstance(output, Exception):
        nearest = nearest_size(size, lambda other: _runs(network, other))
        raise UsageError(size_refusal(network.name, size, output, nearest)) from output
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


def _runs(network: TorchNetwork, size: tuple[int, int]) -> bool:
    return not isinstance(run_grey(network, size), Exception)


def torch_outputs(network: TorchNetwork, form: OutputForm) -> Outputs:
    """The PyTorch network on pixels uint8 N,3,H,W, normalised as the network
    expects.

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

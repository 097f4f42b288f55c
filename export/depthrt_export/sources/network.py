"""A depth network: what is known of it, and what it gives for a picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from depthrt.errors import UsageError
from depthrt.spec import InputSpec, Kind, Unit
from depthrt_export.options import SourceOptions

Maps: TypeAlias = NDArray[np.float32]  # N,H,W
Reference: TypeAlias = Callable[[NDArray[np.uint8]], Maps]
"""Runs a network on pixels N,3,H,W in 0..255."""


@dataclass(frozen=True)
class Normalisation:
    """What the network expects of a pixel p in 0..255: ``(p * scale - mean) / std`` per channel."""

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    scale: float = 1 / 255


@dataclass(frozen=True, eq=False)
class DepthNetwork:
    """A trained depth network and all that its file or its user says of it.

    ``module`` is in eval mode on the CPU in float32 and maps normalised float32 N,3,H,W to depth
    as N,H,W or N,1,H,W.
    """

    module: nn.Module
    name: str
    kind: Kind
    input: InputSpec
    normalisation: Normalisation
    unit: Unit | None = None
    valid_range: tuple[float, float] | None = None
    licence: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)


def describe(
    module: nn.Module, options: SourceOptions, name: str, provenance: Mapping[str, Any]
) -> DepthNetwork:
    """The network with what the options say; nothing may be missing.

    Raises:
        UsageError: kind or size is not said, a size that its own multiple_of excludes, or a
            normalisation by zero.
    """
    if options.kind is None:
        raise UsageError("say what the output means: --kind inverse-depth, depth or metric")
    if options.size is None:
        raise UsageError("say the input size: --size HEIGHTxWIDTH, such as 192x320")
    step = options.multiple_of or 1
    height, width = options.size
    if height % step or width % step:
        nearest = tuple(max(step, round(side / step) * step) for side in options.size)
        raise UsageError(
            f"{height}x{width} is no multiple of {step}: the nearest size that is, is "
            f"--size {nearest[0]}x{nearest[1]}"
        )
    if options.scale == 0 or 0 in (options.std or ()):
        raise UsageError("a normalisation with std or scale 0 leaves nothing of the picture")
    default = Normalisation()
    return DepthNetwork(
        module=module,
        name=options.name or name.replace("_", "-"),
        kind=options.kind,
        unit=options.unit,
        valid_range=options.valid_range,
        input=InputSpec(
            height,
            width,
            resize=options.resize or "stretch",
            multiple_of=step,
            interpolation=options.interpolation or "linear",
        ),
        normalisation=dataclasses.replace(
            default,
            mean=options.mean or default.mean,
            std=options.std or default.std,
            scale=default.scale if options.scale is None else options.scale,
        ),
        licence=options.licence or "",
        provenance=provenance,
    )


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


def to_depth(output: Tensor, size: torch.Size, form: OutputForm) -> Tensor:
    """The network's output as float32 N,H,W."""
    if form.resize:
        maps = output if form.channel else output.unsqueeze(1)
        output = F.interpolate(maps, size=size, mode="bilinear", align_corners=False).squeeze(1)
    elif form.channel:
        output = output.squeeze(1)
    return output.to(torch.float32)


def torch_reference(network: DepthNetwork, form: OutputForm) -> Reference:
    """The PyTorch network on pixels uint8 N,3,H,W, normalised by the book, to float32 N,H,W."""
    how = network.normalisation
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (how.mean, how.std))

    def run(images: NDArray[np.uint8]) -> Maps:
        with torch.inference_mode():
            pixels = torch.from_numpy(images).float()
            output = network.module((pixels * how.scale - mean) / std)
            return np.asarray(to_depth(output, pixels.shape[-2:], form).numpy(), np.float32)

    return run

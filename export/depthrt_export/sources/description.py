"""A network with what the options say of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from depthrt.errors import UsageError
from depthrt.files.file_hash import file_sha256
from depthrt.spec import InputSpec
from depthrt_export.options import SourceOptions
from depthrt_export.sources.network import DepthNetwork, Normalisation


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


def checkpoint_facts(path: Path) -> dict[str, Any]:
    """Name, hash and size of the file that the weights came from."""
    return {
        "checkpoint": path.name,
        "checkpoint_sha256": file_sha256(path),
        "checkpoint_bytes": path.stat().st_size,
    }

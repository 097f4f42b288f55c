"""What is known of a depth network, whatever it is written in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import UsageError
from depthrt.model.inference import filled
from depthrt.spec import InputSpec, Kind, Unit
from depthrt_export.options import SourceOptions

Maps: TypeAlias = NDArray[np.float32]  # N,H,W
Reference: TypeAlias = Callable[[NDArray[np.uint8]], Maps]
"""Runs a network on pixels N,3,H,W in 0..255."""
Outputs: TypeAlias = Callable[[NDArray[np.uint8]], dict[str, NDArray[Any]]]
"""Likewise, with everything that it gives: depth and the optional outputs, by name."""

_NARROWEST, _WIDEST = 0.5, 300.0  # of a channel's normalised pixels, from 0 to 255
_STRIDES = (8, 14, 16, 32, 64)  # that depth networks are made of
_BETWEEN_SCALES = 0.1  # scales below are of pixels in 0..1, scales above of pixels in 0..255


@dataclass(frozen=True)
class Normalisation:
    """What the network expects of a pixel p in 0..255: ``(p * scale - mean) / std`` per channel."""

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    scale: float = 1 / 255

    def doubt(self) -> str:
        """Why nobody is likely to have trained like this, and what was probably meant; or empty.

        Normalised pixels are spread around 0 by about 1, or are pixels of 0..255 as they are.
        """
        wide = [255 * abs(self.scale / std) for std in self.std]
        inside = all(0 <= mean <= 255 * self.scale for mean in self.mean)
        if inside and min(wide) >= _NARROWEST and max(wide) <= _WIDEST:
            return ""
        low = min(-mean / std for mean, std in zip(self.mean, self.std, strict=True))
        high = max(
            (255 * self.scale - mean) / std for mean, std in zip(self.mean, self.std, strict=True)
        )
        of_bytes = max(*self.mean, *self.std) > 1
        meant = ""
        if of_bytes and self.scale < _BETWEEN_SCALES:
            meant = ": did you mean --scale 1?"
        elif not of_bytes and self.scale > _BETWEEN_SCALES:
            meant = ": did you mean no --scale?"
        return f"pixels of 0..255 become {low:.3g}..{high:.3g}, which is unusual{meant}"


@dataclass(frozen=True, eq=False)
class DepthNetwork:
    """All that its file or its user says of a trained depth network.

    - ``named``: whether ``name`` is more than the name of a factory, such as ``build``;
    - ``bgr``: whether its first channel is blue; the normalisation stays in the order red, green,
      blue;
    - ``output``: the key of the depth among several outputs, empty where nobody said it;
    - ``also``: the optional output that each key is; empty: none is; None: as the keys say;
    - ``assumed``: what nobody said, by topic, each as a sentence for the user;
    - ``witnessed``: whether only the user says what normalisation and direction are, so that they
      are worth a check against another network's depth; a published model's files say both.
    """

    name: str
    kind: Kind
    input: InputSpec
    normalisation: Normalisation
    unit: Unit | None = None
    valid_range: tuple[float, float] | None = None
    licence: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    named: bool = True
    output: str = ""
    also: Mapping[str, str] | None = None
    bgr: bool = False
    assumed: Mapping[str, str] = field(default_factory=dict)
    witnessed: bool = True


def filled_depth(outputs: Mapping[str, NDArray[Any]]) -> Maps:
    """The depth N,H,W of an :data:`Outputs`; NaN where it is not valid becomes a valid depth."""
    return filled(np.asarray(outputs["depth"], np.float32), outputs.get("valid"), "inverse_depth")


def describe(options: SourceOptions, name: str, provenance: Mapping[str, Any]) -> DepthNetwork:
    """What the options say of a network; nothing may be missing.

    Raises:
        UsageError: kind or size is not said, a size that its own multiple_of excludes, or a
            normalisation by zero.
    """
    if options.kind is None or options.size is None:
        raise UsageError(_missing(options))
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
    return DepthNetwork(
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
        normalisation=_normalisation(options),
        licence=options.licence or "",
        provenance=provenance,
        output=options.output,
        also=options.also,
        bgr=options.bgr,
        assumed=_assumed(options),
    )


def _normalisation(options: SourceOptions) -> Normalisation:
    default = Normalisation()
    return Normalisation(
        options.mean or default.mean,
        options.std or default.std,
        default.scale if options.scale is None else options.scale,
    )


def _missing(options: SourceOptions) -> str:
    """All that must be said and is not, in one sentence."""
    wanted = []
    if options.kind is None:
        wanted.append("what the output means: --kind inverse-depth, depth or metric")
    if options.size is None:
        wanted.append("the input size: --size HEIGHTxWIDTH, such as 192x320")
    return f"say {', and '.join(wanted)}"


def _assumed(options: SourceOptions) -> dict[str, str]:
    """What the options leave open, by topic: what is taken instead, and how to say otherwise."""
    doubt = _normalisation(options).doubt()
    assumed = {"normalisation": doubt} if doubt else {}
    given = {"mean": options.mean, "std": options.std, "scale": options.scale}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == len(given):
        assumed["input"] = (
            "pixel/255, assumed; say --mean/--std if your network was trained otherwise"
        )
    elif missing:
        taken = {"mean": "mean 0", "std": "std 1", "scale": "scale 1/255"}
        assumed["input"] = (
            f"(pixel x scale - mean) / std with {' and '.join(taken[name] for name in missing)}, "
            f"assumed; say {'/'.join(f'--{name}' for name in missing)} if that is wrong"
        )
    if not options.bgr:
        assumed["channels"] = "RGB, assumed; nothing can tell it from BGR; say --bgr if it is that"
    if options.resize is None:
        assumed["resize"] = "stretch, assumed; say --resize if pictures are to keep their aspect"
    if options.kind == "depth" and options.unit is None:
        assumed["unit"] = "none (relative depth), assumed; say --kind metric if it is metres"
    return assumed


def nearest_size(
    size: tuple[int, int], runs: Callable[[tuple[int, int]], bool]
) -> tuple[int, int] | None:
    """The size nearest to this one, with sides that are multiples of a usual stride, that runs."""
    candidates = {
        (max(step, round(size[0] / step) * step), max(step, round(size[1] / step) * step))
        for step in _STRIDES
    } - {size}

    def distance(other: tuple[int, int]) -> int:
        return abs(other[0] - size[0]) + abs(other[1] - size[1])

    return next((other for other in sorted(candidates, key=distance) if runs(other)), None)


def size_refusal(
    name: str, size: tuple[int, int], error: Exception, nearest: tuple[int, int] | None
) -> str:
    """Why a network cannot take a size, and the nearest that it can, if one is known."""
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    if nearest is None:
        return f"{name} fails on a picture of {size[0]}x{size[1]}: {reason}"
    return (
        f"{name} cannot take {size[0]}x{size[1]} ({reason}): the nearest size that it can is "
        f"--size {nearest[0]}x{nearest[1]}"
    )

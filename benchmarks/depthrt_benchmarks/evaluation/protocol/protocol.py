"""The protocol of an evaluation: alignment, crop, range, resize, flip and averaging."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from depthrt.errors import UsageError
from depthrt.spec import ModelSpec
from depthrt_benchmarks.evaluation.protocol.alignment import Align
from depthrt_benchmarks.evaluation.protocol.crops import NO_CROP, check_crop
from depthrt_benchmarks.evaluation.protocol.resize import Resize

MIN_PIXELS = 10


@dataclass(frozen=True)
class Protocol:
    """How a prediction is compared with ground truth; strictly min_depth_m < truth < max_depth_m.

    ``max_depth_m`` is also the cap of the aligned prediction, ``min_depth_m`` its least value.
    """

    align: Align
    crop: str
    min_depth_m: float
    max_depth_m: float
    resize: Resize
    flip: bool = False
    min_pixels: int = MIN_PIXELS

    def __post_init__(self) -> None:
        check_crop(self.crop)
        if not 0 < self.min_depth_m < self.max_depth_m < math.inf:
            raise UsageError(
                f"--min-depth {self.min_depth_m:g} and --max-depth {self.max_depth_m:g}: both are "
                "metres, 0 < min < max"
            )

    def line(self) -> str:
        """The protocol in one line, which stands beside every figure."""
        crop = "no crop" if self.crop == NO_CROP else f"crop {self.crop}"
        flip = "mean with the mirrored image" if self.flip else "no test-time augmentation"
        return (
            f"{self.align}; {crop}; {self.min_depth_m:g} < truth < {self.max_depth_m:g} m, "
            f"prediction clamped to it; bilinear to the truth's size ({self.resize}); {flip}; "
            f"mean per image, then over images; images under {self.min_pixels} valid pixels skipped"
        )

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Choices:
    """What the user chose; None: the default of model and dataset."""

    align: Align | None = None
    crop: str | None = None
    min_depth_m: float | None = None
    max_depth_m: float | None = None
    resize: Resize | None = None
    flip: bool = False


@dataclass(frozen=True)
class Customs:
    """How a dataset is usually evaluated."""

    min_depth_m: float
    max_depth_m: float
    crop: str = NO_CROP
    resize: Resize = "align-corners"


def default_align(spec: ModelSpec) -> Align:
    """``none`` for metres, else least squares in the space of the model's output."""
    if spec.unit == "m" and spec.kind == "depth":
        return "none"
    return "disparity-lsq" if spec.kind == "inverse_depth" else "depth-lsq"


def choose(spec: ModelSpec, customs: Customs, choices: Choices) -> Protocol:
    """The protocol for a model and a dataset.

    Raises:
        UsageError: an alignment that the model's output does not allow, or a senseless range.
    """
    align = choices.align or default_align(spec)
    if align == "depth-lsq" and spec.kind == "inverse_depth":
        raise UsageError(
            f"--align depth-lsq solves on depth, but {spec.name} gives inverse depth: take "
            "disparity-lsq or median"
        )
    return Protocol(
        align,
        customs.crop if choices.crop is None else choices.crop,
        customs.min_depth_m if choices.min_depth_m is None else choices.min_depth_m,
        customs.max_depth_m if choices.max_depth_m is None else choices.max_depth_m,
        choices.resize or customs.resize,
        choices.flip,
    )


def doubts(spec: ModelSpec, protocol: Protocol) -> list[str]:
    """Reasons to doubt figures of this protocol."""
    if protocol.align == "none" and spec.unit != "m":
        return [
            f"{spec.name} does not say that it gives metres, so figures with --align none compare "
            "unknown units with metres"
        ]
    return []

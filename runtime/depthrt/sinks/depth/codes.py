"""Depth as 16-bit codes with a known step; shared by what writes them and what reads them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from depthrt.depth import Depth
from depthrt.spec import ModelSpec

MapSize = Literal["network", "source"]
"""Whether depth maps are written at the network's size or at that of the picture."""

TAG_PREFIX = "DEPTHRT_"  # of a 16-bit video's tags, which say scale and meaning
INVALID = 0
MAX_CODE = 65535
_KNOWN_HEADROOM, _FIRST_FRAME_HEADROOM = 2.0, 4.0


@dataclass(frozen=True)
class DepthCodes:
    """``value = offset + step * code`` for codes 1..65535; code 0 is invalid.

    A whole sequence has one scale, so that codes of different frames can be compared. Values
    outside the codes' range are clamped to it and counted.
    """

    step: float
    offset: float

    @classmethod
    def choose(cls, spec: ModelSpec, first: NDArray[np.float32]) -> DepthCodes:
        """The scale for a model's output.

        Metric depth gets the steps that datasets use: 1 mm up to 65 m, else 1/256 m up to 255 m.
        Other kinds get a power of two that leaves room for twice the known range, or for four
        times that of the first frame.

        Args:
            spec: of the model.
            first: the values of the first depth map that mean something; their range counts if
                the spec states none.
        """
        known = spec.valid_range or spec.output_range
        low, high = known or (float(first.min(initial=0)), float(first.max(initial=0)))
        headroom = _KNOWN_HEADROOM if known else _FIRST_FRAME_HEADROOM
        if spec.valid_range is not None:
            headroom = 1.0
        if spec.unit == "m" and spec.kind == "depth":
            for step in (0.001, 1 / 256):
                if high * headroom <= step * MAX_CODE:
                    return cls(step, 0.0)
        high = headroom * max(abs(low), abs(high), 1e-6)
        low = -high if low < 0 else 0.0
        step = 2.0 ** math.ceil(math.log2((high - low) / (MAX_CODE - 1)))
        return cls(step, low - step)

    def encode(
        self, values: NDArray[np.float32], valid: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.uint16], int]:
        """The codes of depth values (h,w), off by step/2 at most, and how many were clamped.

        Values that are not ``valid`` (h,w) have the code for that.
        """
        codes = np.rint((values.astype(np.float64) - self.offset) / self.step)
        outside = (codes < 1) | (codes > MAX_CODE)
        codes = np.clip(codes, 1, MAX_CODE).astype(np.uint16)
        if valid is not None:
            outside &= valid
            codes[~valid] = INVALID
        return codes, int(np.count_nonzero(outside))

    def decode(self, codes: NDArray[np.uint16]) -> NDArray[np.float32]:
        """The depth values (h,w) of codes (h,w); NaN where invalid."""
        values = (self.offset + self.step * codes.astype(np.float64)).astype(np.float32)
        values[codes == INVALID] = np.nan
        return values


def sized(depth: Depth, size: MapSize) -> Depth:
    """A depth map at the size that is written, with what the model gives beside it."""
    return depth if size == "network" else depth.enlarged()


def describe(
    spec: ModelSpec, image_size: tuple[int, int], codes: DepthCodes | None = None
) -> dict[str, Any]:
    """What an output says of its values, for whoever reads it.

    - ``kind``, ``unit``, ``larger_is``: what they mean;
    - ``model``: its name;
    - ``image_size``: height and width of the pictures that they belong to;
    - ``resize``: how a picture became the network's input; padding is cut off;
    - ``step``, ``offset``, ``invalid``: the scale of 16-bit codes, where there are some.
    """
    content = {
        "kind": spec.kind,
        "unit": spec.unit,
        "larger_is": spec.larger_is,
        "model": spec.name,
        "image_size": list(image_size),
        "resize": spec.input.resize,
    }
    if codes is None:
        return content
    return {**content, "step": codes.step, "offset": codes.offset, "invalid": INVALID}

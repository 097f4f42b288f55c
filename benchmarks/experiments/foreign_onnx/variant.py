"""One form that an ONNX file of a depth network may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Inside = Literal["", "/255", "ImageNet of 0..255", "ImageNet", "-1..1", "less mean"]


@dataclass(frozen=True)
class Variant:
    """A depth network as somebody may have saved it.

    - ``axes``, ``element``, ``batch``, ``size_open``: of its input; batch None is open;
    - ``layout``: the axes of its depth; ``shrink``: how many times smaller it is than the picture;
    - ``inside``: the arithmetic that the graph itself begins with;
    - ``said``: options of the command line that are needed;
    - ``network``: ``conv`` or ``attention``;
    - ``quantised``: by onnxruntime, ``qdq``, ``qoperator`` or ``dynamic``; ``half``: weights and
      arithmetic in float16, input and output, too, where ``element`` is float16;
    - ``more``: peculiarities, by name (see :mod:`experiments.foreign_onnx.make`).
    """

    name: str
    opset: int = 17
    axes: str = "N,3,H,W"
    element: str = "float32"
    batch: int | None = 1
    size_open: bool = False
    layout: str = "N,1,H,W"
    shrink: int = 1
    inside: Inside = ""
    said: tuple[str, ...] = ()
    network: str = "conv"
    quantised: str = ""
    half: bool = False
    bgr: bool = False
    more: tuple[str, ...] = ()

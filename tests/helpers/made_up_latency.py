"""Latency that is made up, so that what a search chooses can be foretold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from depthrt_export.proof.evaluator import LatencyRatio, Timer
from depthrt_export.search.search import Found

Run = Callable[..., Found]
"""The fixture ``run`` of the searches: a search with such latency."""


def paired(ratio: float) -> LatencyRatio:
    return LatencyRatio(ratio, ratio - 0.01, ratio + 0.01, ratio, 1.0, 20)


def by_integers(
    path: Path, reference: Path, image: NDArray[np.uint8], provider: str = "cpu"
) -> LatencyRatio:
    """The more tensors are in 8 bits the faster; 16 bits are slow, as on a real CPU."""
    graph = onnx.load(path).graph
    kinds = [i.data_type for i in graph.initializer]
    if TensorProto.UINT16 in kinds or TensorProto.FLOAT16 in kinds:
        return paired(1.5)
    return paired(1 - 0.05 * sum(kind == TensorProto.INT8 for kind in kinds) / 2)


def always(ratio: float) -> Timer:
    return lambda path, reference, image, provider: paired(ratio)

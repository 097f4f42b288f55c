"""The range of values of every tensor of a graph on real frames, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, shape_inference

from depthrt.errors import DepthrtError
from depthrt.model.session import import_onnxruntime

if TYPE_CHECKING:
    import onnxruntime as ort

    from depthrt_calibration.frames import Sample

Ranges = dict[str, tuple[float, float]]
Late: TypeAlias = Callable[[], bool]
"""Whether the time is up."""

HISTOGRAM_BINS = 2048
_TENSORS_AT_A_TIME = 16  # raw tensors held in memory while histograms are filled


class OutOfTimeError(DepthrtError):
    """The time limit was reached before all frames were run."""


def never() -> bool:
    """The time is never up."""
    return False


def collect_ranges(
    model: onnx.ModelProto,
    samples: Sequence[Sample],
    percentile: float | None = None,
    late: Late = never,
) -> Ranges:
    """Smallest and largest value of every float32 tensor that a node computes.

    Args:
        model: the float graph; reads uint8 ``image`` N,3,H,W; frames are run one by one.
        percentile: share of the values inside the range, such as 99.99; the rest is cut off, half
            at each end, by a histogram of 2048 bins from a second run. None: minimum to maximum.
        late: called before every frame; true ends the run.

    Raises:
        OutOfTimeError: ``late`` returned true before all frames were run.
    """
    names = float_tensors(model)
    ranges = _extremes(model, names, samples, late)
    if percentile is None:
        return ranges
    tail = (1 - percentile / 100) / 2
    counts = _histograms(model, ranges, samples, late)
    return {name: _cut(ranges[name], counts[name], tail) for name in names}


def float_tensors(model: onnx.ModelProto) -> list[str]:
    """Names of the float32 tensors that the graph's nodes compute, in order."""
    inferred = shape_inference.infer_shapes(model).graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*inferred.value_info, *inferred.output)}
    made = [name for node in model.graph.node for name in node.output if name]
    return [name for name in made if types.get(name) == TensorProto.FLOAT]


def _extremes(
    model: onnx.ModelProto, names: list[str], samples: Sequence[Sample], late: Late
) -> Ranges:
    """One run with ReduceMin and ReduceMax after every tensor, so that only scalars come out."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    for kind in ("ReduceMin", "ReduceMax"):
        for name in names:
            result = f"{name}.{kind}"
            watched.graph.node.append(helper.make_node(kind, [name], [result], keepdims=0))
            watched.graph.output.append(
                helper.make_tensor_value_info(result, TensorProto.FLOAT, [])
            )
    low = np.full(len(names), np.inf)
    high = np.full(len(names), -np.inf)
    session = open_quietly(watched)
    for batch in one_by_one(session, samples, late):
        values = np.array([float(v) for v in session.run(None, {"image": batch})])
        low = np.minimum(low, values[: len(names)])
        high = np.maximum(high, values[len(names) :])
    return {n: (float(a), float(b)) for n, a, b in zip(names, low, high, strict=True)}


def _histograms(
    model: onnx.ModelProto, ranges: Ranges, samples: Sequence[Sample], late: Late
) -> dict[str, NDArray[np.int64]]:
    counts = {name: np.zeros(HISTOGRAM_BINS, np.int64) for name in ranges}
    names = list(ranges)
    for start in range(0, len(names), _TENSORS_AT_A_TIME):
        chunk = names[start : start + _TENSORS_AT_A_TIME]
        watched = onnx.ModelProto()
        watched.CopyFrom(model)
        del watched.graph.output[:]
        watched.graph.output.extend(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in chunk
        )
        session = open_quietly(watched)
        for batch in one_by_one(session, samples, late):
            for name, value in zip(chunk, session.run(None, {"image": batch}), strict=True):
                counts[name] += _histogram(value, *ranges[name])
    return counts


def _histogram(value: NDArray[np.float32], low: float, high: float) -> NDArray[np.int64]:
    """Counts of equal bins from low to high inclusive; OpenCV is ten times as fast as numpy."""
    top = float(np.nextafter(np.float32(high), np.float32(np.inf)))  # OpenCV's end is exclusive
    if not np.float32(low) < np.float32(high):
        return np.zeros(HISTOGRAM_BINS, np.int64)
    plane = np.ascontiguousarray(value, np.float32).reshape(1, -1)
    found = cv2.calcHist([plane], [0], None, [HISTOGRAM_BINS], [low, top])
    return np.rint(found).astype(np.int64).reshape(-1)


def _cut(
    extremes: tuple[float, float], counts: NDArray[np.int64], tail: float
) -> tuple[float, float]:
    low, high = extremes
    total = int(counts.sum())
    if total == 0:
        return extremes
    share = np.cumsum(counts) / total
    first = int(np.searchsorted(share, tail, side="right"))
    last = int(np.searchsorted(share, 1 - tail, side="left"))
    width = (high - low) / HISTOGRAM_BINS
    return low + first * width, min(high, low + (last + 1) * width)


def one_by_one(
    session: ort.InferenceSession, samples: Sequence[Sample], late: Late = never
) -> Iterator[NDArray[np.uint8]]:
    """One batch for every frame; a graph with a fixed batch gets the frame repeated.

    Raises:
        OutOfTimeError: ``late`` returned true before the last frame.
    """
    batch = session.get_inputs()[0].shape[0]
    for number, sample in enumerate(samples):
        if late():
            raise OutOfTimeError(
                f"the time was up after {number} of {len(samples)} calibration frames"
            )
        yield np.repeat(sample.pixels[None], batch if isinstance(batch, int) else 1, axis=0)


def open_quietly(model: onnx.ModelProto) -> ort.InferenceSession:
    ort = import_onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

"""Outlier channels of a transformer moved from activations into weights, exactly.

A LayerNormalization ahead of products gives some channels tens of times the range of the others,
and one scale for all of them leaves the rest a few levels. Channel j is divided by

    s_j = max|X_j| ** alpha / max|W_j| ** (1 - alpha)

in the scale and bias of the normalisation, and row j of every weight that reads it is multiplied by
s_j: the products are the same, and both factors have fewer outliers. Xiao et al., "SmoothQuant",
ICML 2023, equation 4, alpha 0.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from depthrt_calibration.frames import Sample
from depthrt_calibration.ranges import Late, never, one_by_one, open_quietly
from depthrt_export.graph.nodes import remove_unread

ALPHA = 0.5

Array = NDArray[np.float32]


def smooth(
    model: onnx.ModelProto, samples: Sequence[Sample], alpha: float = ALPHA, late: Late = never
) -> tuple[onnx.ModelProto, int]:
    """A copy whose normalisations feed products evenly, and how many of them there were.

    Raises:
        OutOfTimeError: ``late`` said so before all frames were run.
    """
    work = onnx.ModelProto()
    work.CopyFrom(model)
    places = smoothable(work.graph)
    sizes = {i.name: i.dims[0] for i in work.graph.initializer if len(i.dims) == 1}
    channels = {norm.output[0]: sizes[norm.input[1]] for norm, _ in places}
    peaks = _channel_peaks(work, channels, samples, late)
    for norm, readers in places:
        _move(work.graph, norm, readers, peaks[norm.output[0]], alpha)
    remove_unread(work.graph)
    return work, len(places)


def smoothable(graph: onnx.GraphProto) -> list[tuple[onnx.NodeProto, list[onnx.NodeProto]]]:
    """Normalisations over the last axis that only products with constant weights read.

    Of any rank: tokens N,T,C of a transformer, pixels N,H,W,C of a channels-last convolution. Where
    the axis is counted from the front, the rank has to be known.
    """
    constants = {i.name: i for i in graph.initializer}
    ranks = {v.name: len(v.type.tensor_type.shape.dim) for v in graph.value_info}
    outputs = {o.name for o in graph.output}
    found = []
    for norm in [n for n in graph.node if n.op_type == "LayerNormalization"]:
        axis = next((a.i for a in norm.attribute if a.name == "axis"), -1)
        name = norm.output[0]
        readers = [n for n in graph.node if name in n.input]
        plain = readers and all(
            n.op_type == "MatMul"
            and n.input[0] == name
            and n.input[1] in constants
            and len(constants[n.input[1]].dims) == 2
            for n in readers
        )
        scaled = norm.input[1] in constants and len(constants[norm.input[1]].dims) == 1
        last = axis == -1 or axis + 1 == ranks.get(norm.input[0], ranks.get(name))
        if plain and scaled and last and name not in outputs:
            found.append((norm, readers))
    return found


def _move(
    graph: onnx.GraphProto,
    norm: onnx.NodeProto,
    readers: list[onnx.NodeProto],
    peaks: Array,
    alpha: float,
) -> None:
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    weights = np.max([np.abs(constants[n.input[1]]).max(axis=1) for n in readers], axis=0)
    factor = np.maximum(peaks, 1e-5) ** alpha / np.maximum(weights, 1e-5) ** (1 - alpha)
    factor = np.asarray(factor / np.exp(np.log(factor).mean()), np.float64)
    for index in range(1, len(norm.input)):
        norm.input[index] = _replaced(
            graph, norm.input[index], f"{norm.name}.{index}", constants[norm.input[index]] / factor
        )
    for reader in readers:
        weight = constants[reader.input[1]] * factor[:, None]
        reader.input[1] = _replaced(graph, reader.input[1], f"{reader.name}.weight", weight)


def _replaced(graph: onnx.GraphProto, old: str, stem: str, values: NDArray[np.float64]) -> str:
    """A new constant: others may read the old one."""
    name = f"{stem}.smoothed"
    graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
    return name


def _channel_peaks(
    model: onnx.ModelProto, channels: Mapping[str, int], samples: Sequence[Sample], late: Late
) -> Mapping[str, Array]:
    """Greatest |value| of each channel (the last axis) on the frames, reduced inside the graph.

    ``channels``: how many each tensor has, by its name.
    """
    if not channels:
        return {}
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    graph = watched.graph
    del graph.output[:]
    graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), "peak_axis"))
    for name, count in channels.items():
        size, flat, rows, peak = (
            f"{name}.{part}" for part in ("rows_shape", "abs", "rows", "peak")
        )
        shape = np.array([-1, count], np.int64)  # whatever the rank: pixels or tokens by channels
        graph.initializer.append(numpy_helper.from_array(shape, size))
        graph.node.append(helper.make_node("Abs", [name], [flat]))
        graph.node.append(helper.make_node("Reshape", [flat, size], [rows]))
        graph.node.append(helper.make_node("ReduceMax", [rows, "peak_axis"], [peak], keepdims=0))
        graph.output.append(helper.make_tensor_value_info(peak, TensorProto.FLOAT, None))
    session = open_quietly(watched)
    peaks: list[Array] = []
    for batch in one_by_one(session, samples, late):
        values = session.run(None, {"image": batch})
        peaks = [np.maximum(a, b) for a, b in zip(peaks, values, strict=True)] if peaks else values
    return dict(zip(channels, peaks, strict=True))

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
from depthrt_export.unread import remove_unread

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
    peaks = _channel_peaks(work, [norm.output[0] for norm, _ in places], samples, late)
    for norm, readers in places:
        _move(work.graph, norm, readers, peaks[norm.output[0]], alpha)
    remove_unread(work.graph)
    return work, len(places)


def smoothable(graph: onnx.GraphProto) -> list[tuple[onnx.NodeProto, list[onnx.NodeProto]]]:
    """Normalisations over the last axis that only products with constant weights read."""
    constants = {i.name: i for i in graph.initializer}
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
        if plain and scaled and axis in (-1, 2) and name not in outputs:
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
    model: onnx.ModelProto, names: list[str], samples: Sequence[Sample], late: Late
) -> Mapping[str, Array]:
    """Greatest |value| of each channel on the frames, reduced inside the graph."""
    if not names:
        return {}
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    graph = watched.graph
    del graph.output[:]
    graph.initializer.append(numpy_helper.from_array(np.array([0, 1], np.int64), "peak_axes"))
    for name in names:
        graph.node.append(helper.make_node("Abs", [name], [f"{name}.abs"]))
        graph.node.append(
            helper.make_node(
                "ReduceMax", [f"{name}.abs", "peak_axes"], [f"{name}.peak"], keepdims=0
            )
        )
        graph.output.append(helper.make_tensor_value_info(f"{name}.peak", TensorProto.FLOAT, None))
    session = open_quietly(watched)
    peaks: list[Array] = []
    for batch in one_by_one(session, samples, late):
        values = session.run(None, {"image": batch})
        peaks = [np.maximum(a, b) for a, b in zip(peaks, values, strict=True)] if peaks else values
    return dict(zip(names, peaks, strict=True))

"""Metres written into the graph: a few float32 nodes behind the model's depth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from depthrt_export.scale.fit import Line

_DEPTH = "depth"


def as_float32(line: Line) -> Line:
    """The line with the numbers that the graph will hold."""

    def rounded(value: float) -> float:
        return float(np.float32(value))

    shift = None if line.shift is None else rounded(line.shift)
    limits = (rounded(line.nearest_m), rounded(line.farthest_m))
    return Line(line.kind, rounded(line.scale), shift, *limits)


def append_metres(model: onnx.ModelProto, line: Line) -> list[str]:
    """Let the output ``depth`` be metres; the nodes that made it stay as they are.

    Behind it come Mul, Add where there is a shift, Max, Min and, for inverse depth, Reciprocal.

    Returns:
        the names of the new nodes.
    """
    graph = model.graph
    taken = _names(graph)
    relative = _free("depth_before_metres", taken)
    _rename(graph, _DEPTH, relative)
    inverse = line.kind == "inverse_depth"
    low, high = line.nearest_m, line.farthest_m
    if inverse:
        low, high = 1 / high, 1 / low
    steps: list[tuple[str, float | None]] = [("Mul", line.scale)]
    if line.shift is not None:
        steps.append(("Add", line.shift))
    steps += [("Max", low), ("Min", high)]
    if inverse:
        steps.append(("Reciprocal", None))
    return _chain(graph, relative, steps, taken)


def _chain(
    graph: onnx.GraphProto, source: str, steps: Sequence[tuple[str, float | None]], taken: set[str]
) -> list[str]:
    """Append operators, each on what the one before gives; the last one gives ``depth``."""
    made = []
    for position, (kind, constant) in enumerate(steps):
        name = _free(f"metres/{kind}", taken)
        inputs = [source]
        if constant is not None:
            inputs.append(_free(f"{name}_constant", taken))
            number = np.array(constant, np.float32)
            graph.initializer.append(numpy_helper.from_array(number, inputs[1]))
        source = _DEPTH if position == len(steps) - 1 else _free(f"{name}_output", taken)
        graph.node.append(helper.make_node(kind, inputs, [source], name=name))
        made.append(name)
    return made


def _names(graph: onnx.GraphProto) -> set[str]:
    """Names of nodes and tensors."""
    names = {tensor.name for tensor in (*graph.initializer, *graph.input, *graph.output)}
    for node in graph.node:
        names.update((node.name, *node.input, *node.output))
    return names


def _free(wanted: str, taken: set[str]) -> str:
    """A name that nothing has; it is taken then."""
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted}_{number}", number + 1
    taken.add(name)
    return name


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Give a tensor another name, wherever it is made or read, in branches as well."""
    for node in graph.node:
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                if name == old:
                    names[position] = new
        for attribute in node.attribute:
            for branch in (attribute.g, *attribute.graphs):
                _rename(branch, old, new)
    for value in graph.value_info:
        if value.name == old:
            value.name = new


def worst_difference(
    before: NDArray[np.float32], after_m: NDArray[np.float32], line: Line
) -> float:
    """The greatest relative difference between a scaled file's metres and the formula.

    It is divided by the condition of ``scale * d + shift``: where these two nearly cancel out,
    float32 itself is as much less exact.
    """
    d = before.astype(np.float64)
    wanted = line.metres(d)
    y = wanted if line.kind == "depth" else 1 / wanted
    condition = np.maximum(1.0, (np.abs(line.scale * d) + abs(line.shift or 0.0)) / y)
    return float((np.abs(after_m / wanted - 1) / condition).max())

"""Convert a float32 graph to float16 or bfloat16; what the format cannot hold stays float32.

Input stays uint8 and output float32. A node stays float32, with a Cast around it, where

- a tensor that it reads or makes leaves the format's range on real frames (float16: beyond half of
  65504, so that other frames have room, or nowhere above the smallest normal number 6.1e-5);
- its weights do;
- it is of a kind known to lose: exponentials, powers, sums over whole maps;
- it turns pixels into the first convolution's input, where rounding would hit every pixel;
- ONNX does not define it for the format.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from depthrt.errors import UsageError
from depthrt_calibration.frames import Sample
from depthrt_calibration.ranges import Ranges, collect_ranges, float_tensors

HalfPrecision = Literal["float16", "bfloat16"]

BFLOAT16_OPSET = 22
"""The first opset that defines Conv for bfloat16."""

_TYPES = {"float16": TensorProto.FLOAT16, "bfloat16": TensorProto.BFLOAT16}
_LARGEST = {"float16": 65504.0 / 2, "bfloat16": 3.3e38 / 2}
_SMALLEST = {"float16": 6.1e-5, "bfloat16": 1.2e-38}  # of normal numbers
_SENSITIVE = frozenset(
    {
        "Cast",
        "CumSum",
        "Exp",
        "InstanceNormalization",
        "Log",
        "Pow",
        "Range",
        "Reciprocal",
        "ReduceL2",
        "ReduceMean",
        "ReduceSum",
        "ReduceSumSquare",
    }
)
_PIXELS = ("image", "pixel_zero", "pixel_gain")


@dataclass(frozen=True, eq=False)
class HalfResult:
    """The converted graph, the nodes of it that stayed float32, and why.

    ``kept`` are all of those; ``float_nodes`` leaves out what turns pixels or shapes into numbers.
    """

    model: onnx.ModelProto
    float_nodes: tuple[str, ...]
    notes: tuple[str, ...]
    kept: frozenset[str] = frozenset()


def to_half(
    model: onnx.ModelProto, precision: HalfPrecision, samples: Sequence[Sample]
) -> HalfResult:
    """Convert a copy of the graph.

    Args:
        model: the float32 graph of the contract.
        samples: real frames, prepared, on which the ranges of all tensors are looked at.

    Raises:
        UsageError: the graph has branches or loops.
    """
    work = onnx.ModelProto()
    work.CopyFrom(model)
    if any(a.HasField("g") or a.graphs for node in work.graph.node for a in node.attribute):
        raise UsageError(f"a graph with branches or loops is not converted to {precision}")
    ranges = collect_ranges(work, samples)
    kept = _kept(work, precision, ranges)
    _convert(work, precision, {node.name for node, _ in kept})
    named = tuple(node.name for node, why in kept if why in ("range", "kind"))
    far = [node.name for node, why in kept if why == "range"]
    notes = [f"{len(named)} nodes kept in float32" if named else "all nodes converted"]
    if far:
        notes.append(f"out of {precision}'s range: {', '.join(far[:4])}{' ...' * (len(far) > 4)}")
    return HalfResult(work, named, tuple(notes), frozenset(node.name for node, _ in kept))


def _kept(
    model: onnx.ModelProto, precision: HalfPrecision, ranges: Ranges
) -> list[tuple[onnx.NodeProto, str]]:
    """Nodes that stay float32, each with the reason: pixels, range, kind or type."""
    floats = {*float_tensors(model), *_float_weights(model.graph)}
    extremes = {name: max(abs(low), abs(high)) for name, (low, high) in ranges.items()}
    for tensor in model.graph.initializer:
        if tensor.name in floats:
            values = numpy_helper.to_array(tensor)
            extremes[tensor.name] = float(np.abs(values).max()) if values.size else 0.0
    bad = {n for n, top in extremes.items() if _leaves_range(top, precision)}
    kept = []
    for node in model.graph.node:
        tensors = [name for name in (*node.input, *node.output) if name in floats]
        if any(name in _PIXELS for name in node.input):
            kept.append((node, "pixels"))
        elif not any(name in floats for name in node.input):
            kept.append((node, "type"))  # makes floats out of shapes; a Cast follows
        elif not _defined(model, node, precision):
            kept.append((node, "type"))
        elif node.op_type in _SENSITIVE:
            kept.append((node, "kind"))
        elif any(name in bad for name in tensors):
            kept.append((node, "range"))
    return kept


def _leaves_range(top: float, precision: HalfPrecision) -> bool:
    return top > _LARGEST[precision] or 0 < top < _SMALLEST[precision]


def _convert(model: onnx.ModelProto, precision: HalfPrecision, kept: set[str]) -> None:
    graph, half = model.graph, _TYPES[precision]
    made = set(float_tensors(model))
    weights = _float_weights(graph)
    made_half = {o for n in graph.node if n.name not in kept for o in n.output if o in made}
    casts: dict[tuple[str, int], str] = {}
    nodes: list[onnx.NodeProto] = []

    def cast(name: str, to: int) -> str:
        """The tensor in another format; all its readers share one Cast."""
        if (name, to) not in casts:
            result = f"{name}.as_{'float32' if to == TensorProto.FLOAT else precision}"
            nodes.append(helper.make_node("Cast", [name], [result], f"{result}/Cast", to=to))
            casts[name, to] = result
        return casts[name, to]

    for node in graph.node:
        for i, name in enumerate(node.input):
            if node.name in kept:
                if name in made_half:
                    node.input[i] = cast(name, TensorProto.FLOAT)
            elif name in weights and _takes_half(model, node, i, precision):
                node.input[i] = _half_weight(graph, name, half)
            elif name in made - made_half and _takes_half(model, node, i, precision):
                node.input[i] = cast(name, half)
        nodes.append(node)
    for output in [each.name for each in graph.output if each.name in made_half]:
        inner = f"{output}.{precision}"
        for node in nodes:
            for names in (node.input, node.output):
                for i, name in enumerate(names):
                    if name == output:
                        names[i] = inner
        result = f"{output}/Cast"
        nodes.append(helper.make_node("Cast", [inner], [output], result, to=TensorProto.FLOAT))
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input}
    for tensor in [i for i in graph.initializer if i.name not in read]:
        graph.initializer.remove(tensor)


def _half_weight(graph: onnx.GraphProto, name: str, half: int) -> str:
    result = f"{name}.half"
    if all(i.name != result for i in graph.initializer):
        tensor = next(i for i in graph.initializer if i.name == name)
        values = numpy_helper.to_array(tensor).astype(helper.tensor_dtype_to_np_dtype(half))
        graph.initializer.append(numpy_helper.from_array(values, result))
    return result


def _float_weights(graph: onnx.GraphProto) -> set[str]:
    return {i.name for i in graph.initializer if i.data_type == TensorProto.FLOAT}


def _defined(model: onnx.ModelProto, node: onnx.NodeProto, precision: HalfPrecision) -> bool:
    schema = _schema(model, node)
    return schema is None or f"tensor({precision})" in schema.outputs[0].types


def _takes_half(
    model: onnx.ModelProto, node: onnx.NodeProto, index: int, precision: HalfPrecision
) -> bool:
    """Whether an input may be in the format; Resize, for example, needs float32 scales."""
    schema = _schema(model, node)
    if schema is None:
        return True
    formal = schema.inputs[min(index, len(schema.inputs) - 1)]
    return f"tensor({precision})" in formal.types


def _schema(model: onnx.ModelProto, node: onnx.NodeProto) -> onnx.defs.OpSchema | None:
    versions = {o.domain: o.version for o in model.opset_import}
    try:
        return onnx.defs.get_schema(node.op_type, versions.get(node.domain, 1), node.domain)
    except onnx.defs.SchemaError:
        return None  # onnxruntime's own operators take all three formats

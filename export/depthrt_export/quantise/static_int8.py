"""Float32 graph to int8: static, QDQ, uint8 activations and int8 weights per channel.

What the choices rest on (relative RMSE and time measured on a CPU with VNNI):

- whole chains are quantised, Relu and Clip with their convolution: left out, the range of what they
  cut off is quantised too, and the error triples;
- uint8 activations with int8 weights: int8 activations take twice the time;
- weights per output channel: per tensor loses two to three times the accuracy, and time;
- the head stays float: one channel of depth has more than 256 levels;
- Resize gives what it takes, so both ends share one range; a linear one computes in float, for
  onnxruntime's on integers (used up to 1.24) cuts fractions off, which doubles the network's error;
- the uint8 image IS the quantised input of the first convolution: no Cast, no QuantizeLinear;
- that convolution and the float head are laid out as onnxruntime runs them fastest
  (:mod:`depthrt_export.rewrites.int8_layout`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

from depthrt.errors import UsageError
from depthrt.model.session import import_onnxruntime
from depthrt.spec import WEIGHT_BITS_KEY
from depthrt_calibration.ranges import Ranges
from depthrt_export.graph.nodes import head_nodes, remove_unread
from depthrt_export.quantise.openvino_fusion import free_activations, share_joined
from depthrt_export.rewrites.int8_layout import lay_out_head, lay_out_stem

_OPERATORS = (
    "Add",
    "AveragePool",
    "Clip",
    "Concat",
    "Conv",
    "ConvTranspose",
    "DepthToSpace",
    "Gemm",
    "GlobalAveragePool",
    "LeakyRelu",
    "MatMul",
    "MaxPool",
    "Mul",
    "Pad",
    "Relu",
    "Reshape",
    "Resize",
    "Sigmoid",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
)


@dataclass(frozen=True)
class Int8Recipe:
    """How a graph is quantised.

    - ``operators``: types that are quantised wherever they stand;
    - ``float_nodes``: nodes that stay float, beside the head;
    - ``percentile``: share of the values, in percent, that ranges keep; None: all (min-max). Of a
      trained network with min-max the mean error on unseen scenes is a third larger;
    - ``reduce_range``: 7-bit weights, for CPUs with AVX2 or AVX-512 but no VNNI, whose 16-bit sums
      saturate;
    - ``activations``: what they become; ``int8`` is symmetric, as TensorRT and ARM want it;
    - ``fused``: for OpenVINO (:mod:`depthrt_export.quantise.openvino_fusion`), not laid out for
      onnxruntime's kernels;
      the head, too, multiplies in int8.
    """

    operators: tuple[str, ...] = _OPERATORS
    float_nodes: tuple[str, ...] = ()
    percentile: float | None = 99.99
    reduce_range: bool = False
    activations: Literal["uint8", "int8", "uint16"] = "uint8"
    fused: bool = False


@dataclass(frozen=True, eq=False)
class Int8Result:
    """The quantised graph, the nodes of its quantisable types left in float, and what was done."""

    model: onnx.ModelProto
    float_nodes: tuple[str, ...]
    note: str


def quantise(
    model: onnx.ModelProto, ranges: Ranges, recipe: Int8Recipe, zero: tuple[float, ...] | None
) -> Int8Result:
    """Quantise a copy of the graph.

    Args:
        model: the float32 graph with the normalisation folded.
        ranges: of :func:`depthrt_calibration.ranges.collect_ranges` on the same graph.
        zero: what the graph subtracts from pixels before the first convolution; None where the
            normalisation could not be folded.

    Raises:
        UsageError: there is no convolution to quantise.
    """
    work = onnx.ModelProto()
    work.CopyFrom(model)
    head = head_nodes(work.graph)
    ranges = _through_resize(work.graph, ranges)
    if recipe.fused:
        ranges = share_joined(work.graph, ranges)
    if recipe.activations != "uint8":
        zero = None  # the pixels are uint8
    entry, note = _integer_entry(work.graph, ranges, zero)
    nodes = [n.name for n in work.graph.node if n.op_type in recipe.operators]
    convolutions = {n.name for n in work.graph.node if n.op_type == "Conv"}
    kept = {*recipe.float_nodes, *(set(head) - convolutions if recipe.fused else head)}
    kept |= {node.name for node in work.graph.node if _has_no_scale(node, ranges)}
    wanted = [name for name in nodes if name not in kept]
    if not any(n.op_type in ("Conv", "MatMul") for n in work.graph.node if n.name in set(wanted)):
        raise UsageError("the graph has no convolution that int8 could speed up")
    result = _quantise_qdq(work, ranges, recipe, wanted)
    if entry is not None:
        _read_pixels(result.graph, entry)
    if entry is not None and not recipe.fused:
        lay_out_stem(result.graph)
    _keep_fractions(result.graph)
    if recipe.fused:
        free_activations(result.graph, head)
    else:
        lay_out_head(result)
    note_weight_bits(result, 7 if recipe.reduce_range else 8)
    return Int8Result(result, tuple(name for name in nodes if name in kept), note)


def note_weight_bits(model: onnx.ModelProto, bits: int) -> None:
    """Write the number of bits of the int8 weights into the metadata; the runtime reads it."""
    helper.set_model_props(model, {WEIGHT_BITS_KEY: str(bits)})


def _has_no_scale(node: onnx.NodeProto, ranges: Ranges) -> bool:
    """Whether a node stays float as integers cannot hold it.

    Masks of minus infinity have no range; onnxruntime's quantiser gives a transposed convolution
    of groups a scale for each channel of one group alone.
    """
    if node.op_type == "ConvTranspose" and any(
        a.name == "group" and a.i > 1 for a in node.attribute
    ):
        return True
    known = (ranges[name] for name in (*node.input, *node.output) if name in ranges)
    return not all(math.isfinite(low) and math.isfinite(high) for low, high in known)


def _through_resize(graph: onnx.GraphProto, ranges: Ranges) -> Ranges:
    """Give the output of every Resize the range of its input, in graph order."""
    shared = dict(ranges)
    for node in graph.node:
        mode = next((a.s for a in node.attribute if a.name == "mode"), b"nearest")
        if node.op_type == "Resize" and mode != b"cubic" and node.input[0] in shared:
            shared[node.output[0]] = shared[node.input[0]]
    return shared


def _integer_entry(
    graph: onnx.GraphProto, ranges: Ranges, zero: tuple[float, ...] | None
) -> tuple[str | None, str]:
    """Make the first convolution read ``pixel - zero`` with one integer zero; return its range.

    With range (-zero, 255 - zero) the quantiser arrives at scale 1 and zero point ``zero``, so that
    the pixels themselves are the quantised tensor. Returns that tensor's name.
    """
    if zero is None:
        return None, "pixels are normalised in float before the first convolution"
    cast = next(n for n in graph.node if n.op_type == "Cast" and n.input[0] == "image")
    subtraction = next(
        (n for n in graph.node if n.op_type == "Sub" and n.input[0] == cast.output[0]), None
    )
    entry = cast.output[0] if subtraction is None else subtraction.output[0]
    whole = float(np.clip(round(float(np.mean(zero))), 0, 255))
    note = f"uint8 pixels are read directly with zero point {whole:g}, exactly"
    if subtraction is not None and tuple(zero) != (whole,):
        _move_zero(graph, entry, np.broadcast_to(np.asarray(zero), 3), whole)
        for tensor in [i for i in graph.initializer if i.name == subtraction.input[1]]:
            tensor.CopyFrom(numpy_helper.from_array(np.float32(whole).reshape(()), tensor.name))
            for info in [v for v in graph.value_info if v.name == tensor.name]:
                graph.value_info.remove(info)
        note = (
            f"uint8 pixels are read directly with zero point {whole:g}; the padded border sees it "
            "for every channel"
        )
    ranges[entry] = (-whole, 255 - whole)
    return entry, note


def _move_zero(graph: onnx.GraphProto, entry: str, zero: NDArray[np.float64], whole: float) -> None:
    """conv(p - zero) = conv(p - whole) + sum(w * (whole - zero)), but for the padded border."""
    constants = {i.name: i for i in graph.initializer}
    for conv in [n for n in graph.node if n.op_type == "Conv" and n.input[0] == entry]:
        weight = numpy_helper.to_array(constants[conv.input[1]]).astype(np.float64)
        shift = np.einsum("ocij,c->o", weight, whole - zero)
        has_bias = len(conv.input) > 2 and conv.input[2]
        bias = numpy_helper.to_array(constants[conv.input[2]]) if has_bias else np.zeros(len(shift))
        name = f"{conv.name}.bias_of_pixels"
        graph.initializer.append(numpy_helper.from_array((bias + shift).astype(np.float32), name))
        del conv.input[2:]
        conv.input.append(name)


def _quantise_qdq(
    model: onnx.ModelProto,
    ranges: Mapping[str, tuple[float, float]],
    recipe: Int8Recipe,
    nodes: list[str],
) -> onnx.ModelProto:
    import_onnxruntime()  # before any other door of it
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    kinds = {"uint8": QuantType.QUInt8, "int8": QuantType.QInt8, "uint16": QuantType.QUInt16}
    pairs = {
        name: (np.float32(low), np.float32(high))
        for name, (low, high) in ranges.items()
        if math.isfinite(low) and math.isfinite(high)
    }
    quantizer = QDQQuantizer(
        shape_inference.infer_shapes(model),
        True,  # per channel
        recipe.reduce_range,
        QuantType.QInt8,
        kinds[recipe.activations],
        TensorsData(CalibrationMethod.MinMax, pairs),
        nodes,
        [],
        list(recipe.operators),
        {"ActivationSymmetric": recipe.activations == "int8", "WeightSymmetric": True},
    )
    try:
        quantizer.quantize_model()
    except (AssertionError, ValueError) as error:
        raise UsageError(f"onnxruntime cannot quantise this graph ({error})") from error
    quantizer.model.topological_sort()
    result: onnx.ModelProto = quantizer.model.model
    return result


def _read_pixels(graph: onnx.GraphProto, entry: str) -> None:
    """Let DequantizeLinear read ``image`` itself; remove Cast, Sub and QuantizeLinear."""
    quantiser = next(
        (n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] == entry), None
    )
    if quantiser is None:
        return  # the first convolution stays float
    for node in graph.node:
        if quantiser.output[0] in node.input:
            node.input[list(node.input).index(quantiser.output[0])] = "image"
    readers = [n for n in graph.node if entry in n.input and n is not quantiser]
    graph.node.remove(quantiser)
    if not readers:
        remove_unread(graph)


def _keep_fractions(graph: onnx.GraphProto) -> None:
    """Make a linear Resize's scales differ in the last bit, so that it is not run on integers."""
    constants = {i.name: i for i in graph.initializer}
    for resize in [n for n in graph.node if n.op_type == "Resize"]:
        modes = [a.s for a in resize.attribute if a.name == "mode"]
        after = [n for n in graph.node if resize.output[0] in n.input]
        if modes != [b"linear"] or [n.op_type for n in after] != ["QuantizeLinear"]:
            continue
        scale = numpy_helper.to_array(constants[after[0].input[1]])
        name = f"{resize.name}.scale"
        other = np.nextafter(scale, np.float32(np.inf), dtype=np.float32)
        graph.initializer.append(numpy_helper.from_array(other, name))
        for node in (after[0], *(n for n in graph.node if after[0].output[0] in n.input)):
            if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                node.input[1] = name

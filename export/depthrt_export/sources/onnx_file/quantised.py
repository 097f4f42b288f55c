"""Whether a file of others is quantised already, and as what."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from depthrt.spec import WEIGHT_BITS_KEY, Precision
from depthrt_export.sources.onnx_file.reading import nodes_of

_STATIC = ("QLinear", "QGemm", "QAttention", "QuantizeLinear", "DequantizeLinear", "ConvInteger")
_DYNAMIC = ("DynamicQuantize", "MatMulInteger")
_WIDE = (TensorProto.INT16, TensorProto.UINT16)
_EIGHT_BITS = (TensorProto.INT8, TensorProto.UINT8)
_LARGEST_OF_7_BITS = 64


def quantised_as(model: onnx.ModelProto) -> Precision | None:
    """The precision of a quantised graph; None of one that computes in float alone."""
    kinds = {node.op_type for node in nodes_of(model.graph)}
    dynamic = any(kind.startswith(_DYNAMIC) for kind in kinds)
    if not dynamic and not any(kind.startswith(_STATIC) for kind in kinds):
        return None
    if dynamic:
        return "int8_dynamic"
    points = {
        name
        for node in nodes_of(model.graph)
        if node.op_type == "QuantizeLinear" and len(node.input) > 2
        for name in [node.input[2]]
    }
    wide = any(t.name in points and t.data_type in _WIDE for t in model.graph.initializer)
    return "int16" if wide else "int8"


def note_weight_bits(model: onnx.ModelProto) -> None:
    """Write into the metadata how many bits the 8-bit weights use, as far as it can be seen."""
    found = [
        numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.data_type in _EIGHT_BITS and len(tensor.dims) > 1
    ]
    signed = [np.abs(a.astype(np.int16)).max(initial=0) for a in found if a.dtype == np.int8]
    seven = len(signed) == len(found) > 0 and max(signed) <= _LARGEST_OF_7_BITS
    helper.set_model_props(model, {WEIGHT_BITS_KEY: "7" if seven else "8"})

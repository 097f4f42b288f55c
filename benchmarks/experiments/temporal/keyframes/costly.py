"""A model with the depth of one network and the cost of another, whose weights are drawn.

How much of a recording needs the network depends on its depth, so a network with random weights
tells nothing. The file made here runs both on every picture and gives the depth of the first.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from depthrt.model.golden.entry import GOLDEN_KEY

_TINY = 1e-30  # not 0, which would let the second network be optimised away


def costly(depth: Path, cost: Path, target: Path) -> Path:
    """Write the model: both files are of the contract; the size of the second is its own."""
    first, second = onnx.load(depth), onnx.load(cost)
    opset = max(o.version for m in (first, second) for o in m.opset_import if not o.domain)
    first, second = (
        m if _opset(m) == opset else onnx.version_converter.convert_version(m, opset)
        for m in (first, second)
    )
    inner = compose.add_prefix(second, "cost/")
    graph, other = first.graph, inner.graph
    (last,) = (node for node in graph.node if "depth" in node.output)
    last.output[list(last.output).index("depth")] = "depth_alone"
    height, width = (d.dim_value for d in other.input[0].type.tensor_type.shape.dim[2:])
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array([], np.float32), "no_scales"),
            numpy_helper.from_array(np.array([1, 3, height, width], np.int64), "cost_size"),
            numpy_helper.from_array(np.float32(_TINY), "tiny"),
        ]
    )
    graph.initializer.extend(other.initializer)
    graph.node.extend(
        [
            helper.make_node("Cast", ["image"], ["image_float"], to=TensorProto.FLOAT),
            helper.make_node(
                "Resize", ["image_float", "", "no_scales", "cost_size"], ["cost_float"]
            ),
            helper.make_node("Cast", ["cost_float"], ["cost/image"], to=TensorProto.UINT8),
            *other.node,
            helper.make_node("ReduceMax", ["cost/depth"], ["cost_value"], keepdims=0),
            helper.make_node("Mul", ["cost_value", "tiny"], ["nothing"]),
            helper.make_node("Add", ["depth_alone", "nothing"], ["depth"]),
        ]
    )
    for domain in second.opset_import:
        if domain.domain not in {o.domain for o in first.opset_import}:
            first.opset_import.append(domain)
    for entry in [e for e in first.metadata_props if e.key == GOLDEN_KEY]:
        first.metadata_props.remove(entry)  # onnxruntime adds in another order
    onnx.save(first, target)
    return target


def _opset(model: onnx.ModelProto) -> int:
    return next(o.version for o in model.opset_import if not o.domain)

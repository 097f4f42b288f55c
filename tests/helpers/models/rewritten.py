"""Graphs written as text, and what the rewrites make of them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import parser

from depthrt_export.rewrites.rewrite import rewrite

HEADER = '<ir_version: 9, opset_import: ["": 20]>\n'


def parse(text: str, **constants: NDArray[np.generic]) -> onnx.ModelProto:
    """A checked model from the text of its graph, with arrays as its initializers."""
    model = parser.parse_model(HEADER + text)
    for name, content in constants.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(content, name))
    onnx.checker.check_model(model)
    return model


def run(model: onnx.ModelProto, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """What onnxruntime makes of the model, with no optimisation of its own."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"x": x})[0], np.float32)


def check(model: onnx.ModelProto, x: NDArray[np.float32]) -> tuple[Counter[str], list[str]]:
    """Rewrite, compare with the model as it was, and give back node types and report."""
    before = model.SerializeToString()
    rewritten, lines = rewrite(model)
    assert model.SerializeToString() == before, "the model that came in was changed"
    onnx.checker.check_model(rewritten)
    plain, fast = run(model, x), run(rewritten, x)
    assert fast.shape == plain.shape
    assert np.abs(fast - plain).max() <= 1e-4 * np.ptp(plain)
    assert [v.name for v in rewritten.graph.output] == [v.name for v in model.graph.output]
    return Counter(node.op_type for node in rewritten.graph.node), lines


def noise(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)

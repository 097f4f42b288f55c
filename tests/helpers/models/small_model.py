"""Small depthrt models that the tests build for themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from depthrt.spec import METADATA_KEY, InputSpec, ModelSpec

SIZE = (48, 64)
# Weights of red, green and blue in the test model's depth.
WEIGHTS = (0.5, 0.25, 0.125)


def expected_depth(prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What :func:`build_model`'s network gives for uint8 N,3,h,w: float32 N,h,w."""
    weights = np.array(WEIGHTS, np.float32)[None, :, None, None]
    return np.asarray((prepared.astype(np.float32) * weights).sum(axis=1), np.float32)


def build_spec(size: tuple[int, int] = SIZE, name: str = "tiny") -> ModelSpec:
    """The spec of :func:`build_model`'s network."""
    return ModelSpec(name, "inverse_depth", InputSpec(*size))


def build_model(
    path: Path,
    *,
    size: tuple[int, int] = SIZE,
    batch: int | str = "batch",
    spec: ModelSpec | str | None = None,
    gain: float = 1.0,
    dynamic_size: bool = False,
) -> Path:
    """Write a model whose depth is a weighted sum of the pixel's colours, times ``gain``.

    ``spec`` as text goes into the metadata as it is; an empty text leaves the entry out.
    """
    height, width = ("height", "width") if dynamic_size else size
    kernel = np.array(WEIGHTS, np.float32).reshape(1, 3, 1, 1) * np.float32(gain)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("Conv", ["pixels", "kernel"], ["map"]),
            helper.make_node("Squeeze", ["map", "axes"], ["depth"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [batch, 3, height, width])],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, [batch, height, width])],
        [
            numpy_helper.from_array(kernel, "kernel"),
            numpy_helper.from_array(np.array([1], np.int64), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    text = spec if isinstance(spec, str) else (spec or build_spec(size)).to_json()
    if text:
        helper.set_model_props(model, {METADATA_KEY: text})
    onnx.save(model, path)
    return path


def build_slow_model(path: Path, *, work: int = 4, side: int = 700) -> Path:
    """The tiny model with work that changes nothing: some 20 ms a frame as it is."""
    model = onnx.load(build_model(path, batch=1))
    graph = model.graph
    graph.node[-1].output[0] = "sum"
    for name, content in (
        ("matrix", np.zeros((side, side), np.float32)),
        ("shape", np.array([side, side], np.int64)),
    ):
        graph.initializer.append(numpy_helper.from_array(content, name))
    graph.node.extend(
        [
            helper.make_node("ReduceMax", ["sum"], ["most"], keepdims=0),
            helper.make_node("Expand", ["most", "shape"], ["work0"]),
            *(
                helper.make_node("MatMul", [f"work{i}", "matrix"], [f"work{i + 1}"])
                for i in range(work)
            ),
            helper.make_node("ReduceMax", [f"work{work}"], ["nothing"], keepdims=0),
            helper.make_node("Add", ["sum", "nothing"], ["depth"]),
        ]
    )
    onnx.save(model, path)
    return path


def build_picky_model(path: Path) -> Path:
    """The tiny model, whose depth is infinite where a picture is all black."""
    model = onnx.load(build_model(path))
    graph = model.graph
    graph.node[-1].output[0] = "sum"
    graph.node.extend(
        [
            helper.make_node("ReduceMax", ["sum", "sides"], ["brightest"], keepdims=1),
            helper.make_node("Reciprocal", ["brightest"], ["dark"]),
            helper.make_node("Add", ["sum", "dark"], ["depth"]),
        ]
    )
    graph.initializer.append(numpy_helper.from_array(np.array([1, 2], np.int64), "sides"))
    onnx.save(model, path)
    return path


def build_gappy_model(path: Path) -> Path:
    """The tiny model, whose depth is infinite wherever a pixel is black."""
    model = onnx.load(build_model(path))
    graph = model.graph
    graph.node[-1].output[0] = "sum"
    graph.node.extend(
        [
            helper.make_node("Reciprocal", ["sum"], ["dark"]),
            helper.make_node("Add", ["sum", "dark"], ["depth"]),
        ]
    )
    onnx.save(model, path)
    return path

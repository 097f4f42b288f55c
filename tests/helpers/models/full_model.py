"""A small depthrt model with every optional output, each of which follows from the picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from depthrt.spec import METADATA_KEY, ModelSpec
from helpers.models.small_model import build_model, build_spec

FOV_DEG = 73.5
BRIGHT = 128  # blue from here on is sky: not valid, and its depth is NaN
NORMAL = (0.6, 0.0, -0.8)


def full_spec(spec: ModelSpec | None = None) -> ModelSpec:
    """The spec of :func:`build_full_model`'s network."""
    return replace(
        spec or build_spec(), name="full", outputs=("confidence", "valid", "normals", "fov_deg")
    )


def build_full_model(
    path: Path,
    *,
    spec: ModelSpec | None = None,
    gain: float = 1.0,
    batch: int | str = "batch",
    fov_deg: float = FOV_DEG,
    dynamic_size: bool = False,
) -> Path:
    """The tiny model with all optional outputs, and depth NaN where it is not valid.

    - ``confidence``: green / 255;
    - ``valid``: where blue is below ``BRIGHT``;
    - ``normals``: ``NORMAL`` everywhere;
    - ``fov_deg``: as given.
    """
    spec = full_spec(spec)
    size = (spec.input.height, spec.input.width)
    model = onnx.load(
        build_model(path, size=size, batch=batch, gain=gain, dynamic_size=dynamic_size)
    )
    graph = model.graph
    graph.node[-1].output[0] = "sum"
    constants: dict[str, NDArray[np.generic]] = {
        "green": np.array(1, np.int64),
        "blue": np.array(2, np.int64),
        "most": np.array(255, np.float32),
        "bright": np.array(BRIGHT, np.float32),
        "nan": np.array(np.nan, np.float32),
        "none": np.array(0, np.float32),
        "sides": np.array([1, 2, 3], np.int64),
        "normal": np.array(NORMAL, np.float32).reshape(1, 3, 1, 1),
        "angle": np.array(fov_deg, np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(a, name) for name, a in constants.items())
    node = helper.make_node
    graph.node.extend(
        [
            node("Gather", ["pixels", "green"], ["greens"], axis=1),
            node("Div", ["greens", "most"], ["confidence"]),
            node("Gather", ["pixels", "blue"], ["blues"], axis=1),
            node("Less", ["blues", "bright"], ["valid"]),
            node("Where", ["valid", "sum", "nan"], ["depth"]),
            node("Mul", ["pixels", "none"], ["nothing"]),
            node("Add", ["nothing", "normal"], ["normals"]),
            node("ReduceMax", ["nothing", "sides"], ["zero"], keepdims=0),
            node("Add", ["zero", "angle"], ["fov_deg"]),
        ]
    )
    n, h, w = (d.dim_param or d.dim_value for d in graph.output[0].type.tensor_type.shape.dim)
    graph.output.extend(
        helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in (
            ("confidence", TensorProto.FLOAT, [n, h, w]),
            ("valid", TensorProto.BOOL, [n, h, w]),
            ("normals", TensorProto.FLOAT, [n, 3, h, w]),
            ("fov_deg", TensorProto.FLOAT, [n]),
        )
    )
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    onnx.save(model, path)
    return path

"""A chain of nodes whose tensors can be pushed out of a half precision's range."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from depthrt_calibration.frames import Sample

RANDOM = np.random.default_rng(4)
SAMPLES = [Sample(RANDOM.integers(0, 256, (3, 8, 12), dtype=np.uint8), f"#{i}") for i in range(3)]


def chain(gain: float = 1.0, opset: int = 22) -> onnx.ModelProto:
    """image -> Cast -> Sub -> Conv -> Mul gain -> Mul 1/gain -> Exp -> Resize -> Squeeze."""
    constants = {
        "pixel_zero": np.float32(116),
        "weight": (RANDOM.normal(size=(1, 3, 1, 1)) / 200).astype(np.float32),
        "gain": np.float32(gain),
        "inverse": np.float32(1 / gain),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "axes": np.array([1], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["image"], ["pixels"], "cast", to=TensorProto.FLOAT),
        node("Sub", ["pixels", "pixel_zero"], ["centred"], "sub"),
        node("Conv", ["centred", "weight"], ["a"], "conv"),
        node("Mul", ["a", "gain"], ["b"], "up"),
        node("Mul", ["b", "inverse"], ["c"], "down"),
        node("Exp", ["c"], ["d"], "exp"),
        node("Resize", ["d", "", "scales"], ["e"], "resize", mode="linear"),
        node("Squeeze", ["e", "axes"], ["depth"], "squeeze"),
    ]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 3, 8, 12])],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, ["batch", 16, 24])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def run_first(model: onnx.ModelProto) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": SAMPLES[0].pixels[None]})[0])

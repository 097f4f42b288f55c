"""OpenVINO by itself on an ONNX file."""

from __future__ import annotations

from typing import Any


def open_engine(order: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """``hint``: the precision of the float part; empty for OpenVINO's own choice."""
    import openvino as ov

    config: dict[str, Any] = {"INFERENCE_NUM_THREADS": order["threads"]}
    config["PERFORMANCE_HINT"] = "LATENCY"
    if order.get("hint"):
        config["INFERENCE_PRECISION_HINT"] = order["hint"]
    core = ov.Core()
    model = core.read_model(order["model"])
    model.reshape({0: [1, 3, *order["size"]]})
    request = core.compile_model(model, "CPU", config).create_infer_request()
    number = ov.__version__.split("-")[0]
    return lambda images: request.infer({0: images})[0].copy(), {"versions": {"openvino": number}}

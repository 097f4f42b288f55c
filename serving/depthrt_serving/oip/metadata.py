"""What the protocol says of the server and of the model."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np

from depthrt.spec import DEPTH, OPTIONAL_OUTPUTS, ModelSpec
from depthrt_serving.oip.tensors import BYTES, own_datatype

IMAGE, PICTURE = "image", "picture"
"""The inputs, of which a request has one: prepared pixels N,3,H,W, or files of pictures."""
VERSION = "1"
"""The one version of a model."""


def server_metadata() -> dict[str, Any]:
    """The server."""
    return {
        "name": "depthrt",
        "version": version("depthrt"),
        "extensions": ["binary_tensor_data"],
    }


def model_metadata(spec: ModelSpec, *, dynamic_size: bool) -> dict[str, Any]:
    """The model: its tensors, and what its depth means.

    ``inputs`` has the pixels alone, as generic clients send all that it lists; the other input is
    among the ``parameters``.
    """
    sides = {
        "N": -1,
        "3": 3,
        "H": -1 if dynamic_size else spec.input.height,
        "W": -1 if dynamic_size else spec.input.width,
    }
    facts = {"kind": spec.kind, "larger_is": spec.larger_is, "unit": spec.unit or "none"}
    return {
        "name": spec.name,
        "versions": [VERSION],
        "platform": "onnxruntime_onnx",
        "inputs": [_tensor(IMAGE, "UINT8", [sides[axis] for axis in ("N", "3", "H", "W")])],
        "outputs": [
            _tensor(name, datatype, [sides[axis] for axis in form])
            for name, (datatype, form) in outputs_of(spec).items()
        ],
        "parameters": {**facts, "licence": spec.licence, "or_input": f"{PICTURE} {BYTES} [-1]"},
    }


def model_config(spec: ModelSpec, *, dynamic_size: bool, batch: int) -> dict[str, Any]:
    """The model in the form of Triton's configuration, without what Triton alone has.

    Its parameter ``depthrt`` is the spec as JSON, as in the repositories that `depthrt deploy`
    writes: a client that prepares pictures by it works with both servers.
    """
    about = model_metadata(spec, dynamic_size=dynamic_size)
    types = {"UINT8": "TYPE_UINT8", "FP32": "TYPE_FP32", "BOOL": "TYPE_BOOL"}

    def listed(tensors: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            {
                "name": tensor["name"],
                "data_type": types[tensor["datatype"]],
                "dims": tensor["shape"][1:],
            }
            for tensor in tensors
        ]

    return {
        "name": spec.name,
        "platform": about["platform"],
        "max_batch_size": batch,
        "input": listed(about["inputs"]),
        "output": listed(about["outputs"]),
        "parameters": {"depthrt": {"string_value": spec.to_json()}},
    }


def outputs_of(spec: ModelSpec) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Datatype and axes of each output, by name."""
    forms = {"depth": DEPTH, **{name: OPTIONAL_OUTPUTS[name] for name in spec.outputs}}
    kinds = {"float": np.dtype(np.float32), "bool": np.dtype(np.bool_)}
    return {name: (own_datatype(kinds[form.element]), form.axes) for name, form in forms.items()}


def _tensor(name: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape}

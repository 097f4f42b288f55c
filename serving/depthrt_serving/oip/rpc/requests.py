"""Requests of the protocol as they come over gRPC, and their answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.spec import ModelSpec
from depthrt_serving.oip.messages import InferRequest, MessageError, WantedOutput, request_of
from depthrt_serving.oip.metadata import VERSION
from depthrt_serving.oip.rpc.protocol import messages
from depthrt_serving.oip.tensors import as_output

_TYPED = {"UINT8": ("uint_contents", "u1", 255), "FP32": ("fp32_contents", "<f4", None)}


def read_message(message: Any) -> InferRequest:
    """The request of a ModelInferRequest, as it would be over HTTP with binary tensors.

    Raises:
        MessageError: it does not keep to the protocol.
    """
    raw = list(message.raw_input_contents)
    if raw and len(raw) != len(message.inputs):
        raise MessageError(
            f"there are {len(message.inputs)} inputs, and {len(raw)} raw_input_contents"
        )
    contents = raw or [_typed(tensor) for tensor in message.inputs]
    inputs = [
        {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(tensor.shape),
            "parameters": {**_plain(tensor.parameters), "binary_data_size": len(content)},
        }
        for tensor, content in zip(message.inputs, contents, strict=True)
    ]
    outputs = [
        {"name": output.name, "parameters": {**_plain(output.parameters), "binary_data": True}}
        for output in message.outputs
    ]
    content = {
        "id": message.id,
        "parameters": {**_plain(message.parameters), "binary_data_output": True},
        "inputs": inputs,
        "outputs": outputs,
    }
    return request_of(
        content, memoryview(contents[0] if len(contents) == 1 else b"".join(contents))
    )


def answer_message(
    request: InferRequest,
    spec: ModelSpec,
    arrays: Mapping[str, NDArray[Any]],
    wanted: list[WantedOutput],
) -> Any:
    """The ModelInferResponse.

    Raises:
        MessageError: values that are asked for in FP16 do not fit.
    """
    answer = messages()["ModelInferResponse"](
        model_name=spec.name, model_version=VERSION, id=request.id or ""
    )
    for output in wanted:
        entry, content = as_output(arrays[output.name], output)
        answer.outputs.add(name=entry["name"], datatype=entry["datatype"], shape=entry["shape"])
        answer.raw_output_contents.append(content)
    return answer


def _typed(tensor: Any) -> bytes:
    """The elements of a tensor that came as numbers or texts, in their binary form."""
    if tensor.datatype == "BYTES":
        return b"".join(len(e).to_bytes(4, "little") + e for e in tensor.contents.bytes_contents)
    if tensor.datatype not in _TYPED:
        return b""  # a datatype that is not taken, or FP16, which comes raw alone
    field, kind, most = _TYPED[tensor.datatype]
    values = np.array(getattr(tensor.contents, field))
    if most is not None and values.size and int(values.max()) > most:
        raise MessageError(f"a pixel is {int(values.max())}, which is no number from 0 to {most}")
    return values.astype(kind).tobytes()


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as plain values."""
    found = {}
    for name, parameter in parameters.items():
        choice = parameter.WhichOneof("parameter_choice")
        found[name] = None if choice is None else getattr(parameter, choice)
    return found

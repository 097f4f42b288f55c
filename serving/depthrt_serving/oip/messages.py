"""Requests of the protocol: a JSON object and, behind it, the bytes of binary tensors.

The Open Inference Protocol (REST, v2) and its binary tensor data extension:
https://github.com/kserve/open-inference-protocol,
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from depthrt.errors import UsageError
from depthrt.files.json_file import JsonObject, parse_json, short

HEAD_LENGTH = "inference-header-content-length"
_JSON_BYTES, _JSON_BYTES_PER_ELEMENT = 2 << 20, 8  # "255.0, " and a little
_MOST_TENSORS = 16
_MOST_SIDES = 8
_MOST_ELEMENTS = 1 << 40


class MessageError(UsageError):
    """A request that does not keep to the protocol, or asks for what there is not."""


@dataclass(frozen=True, eq=False)
class SentTensor:
    """An input as it was sent: ``elements`` of JSON, or ``content`` that came as binary data."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    elements: list[Any] | None
    content: memoryview | None

    @property
    def count(self) -> int:
        """Elements that the shape has."""
        count = 1
        for side in self.shape:
            count *= side
        return count


@dataclass(frozen=True)
class WantedOutput:
    """An output that is asked for; ``datatype`` None: its own."""

    name: str
    binary: bool
    datatype: str | None = None


@dataclass(frozen=True, eq=False)
class InferRequest:
    """What a client asks for.

    - ``id``: comes back with the answer;
    - ``outputs``: those that are wanted; None: all of them, binary if ``binary``;
    - ``timeout_s``: within which the answer is worth something; None: it does not say.
    """

    id: str | None
    inputs: list[SentTensor]
    outputs: list[WantedOutput] | None
    binary: bool
    timeout_s: float | None


def head_length(header: str | None, body: bytes, elements: int) -> int:
    """How many bytes of a body are its JSON object.

    Lists take seconds to read and some twenty times their text in memory, so that JSON is to hold
    one image at most, and files of some MB.

    Args:
        header: the value of ``Inference-Header-Content-Length``, if there is one.
        body: all of the body.
        elements: that an image of the model has.

    Raises:
        MessageError: the header is no number, more than there is, or the JSON is too large.
    """
    length = len(body)
    if header is not None:
        if not header.isdecimal() or len(header) > 18 or int(header) > length:
            raise MessageError(
                f"Inference-Header-Content-Length: {short(header)} is no number of bytes within "
                f"the body of {length}"
            )
        length = int(header)
    most = _JSON_BYTES + _JSON_BYTES_PER_ELEMENT * elements
    if length > most:
        raise MessageError(
            f"the JSON object has {length} bytes, more than the {most} that are taken: send "
            "tensors as binary data"
        )
    return length


def read_request(body: bytes, length: int) -> InferRequest:
    """The request of a body.

    Args:
        body: all of it.
        length: bytes of its JSON object.

    Raises:
        MessageError: it does not keep to the protocol.
    """
    try:
        content = parse_json(body[:length].decode("utf-8"))
    except UnicodeDecodeError as error:
        raise MessageError(f"the request is not UTF-8 text: byte {error.start} is wrong") from None
    except ValueError as error:
        raise MessageError(f"the request is not JSON ({error})") from None
    if not isinstance(content, dict):
        raise MessageError("the request is no JSON object")
    return request_of(content, memoryview(body)[length:])


def request_of(content: dict[str, Any], binary_data: memoryview) -> InferRequest:
    """The request of its JSON object, and the bytes of its binary tensors in their order.

    Raises:
        MessageError: it does not keep to the protocol.
    """
    message = JsonObject(content, "the request", MessageError)
    parameters = _parameters(message)
    binary = _flag(parameters, "binary_data_output")
    outputs = _tensors(message, "outputs") if content.get("outputs") else []
    return InferRequest(
        message.text("id") if content.get("id") is not None else None,
        _inputs(_tensors(message, "inputs"), binary_data),
        _outputs(outputs, binary) or None,
        binary,
        _timeout_s(parameters),
    )


def _tensors(message: JsonObject, key: str) -> list[JsonObject]:
    found = message.value(key)
    if isinstance(found, list) and len(found) > _MOST_TENSORS:
        raise MessageError(f"the request has {len(found)} {key}: {_MOST_TENSORS} at most are taken")
    return message.objects(key)


def _inputs(found: list[JsonObject], binary: memoryview) -> list[SentTensor]:
    """The inputs, each with its part of the binary data, which lies in their order."""
    tensors, start = [], 0
    for number, tensor in enumerate(found):
        where = f"the input {short(tensor.content.get('name', number))}"
        entry = JsonObject(tensor.content, where, MessageError)
        parameters = _parameters(entry)
        _refuse_shared_memory(parameters)
        elements, content = None, None
        if "binary_data_size" in parameters.content:
            size = parameters.whole("binary_data_size")
            if "data" in entry.content:
                raise MessageError(f"{where} has both data and binary_data_size")
            if start + size > len(binary):
                raise MessageError(
                    f"{where} has {size} bytes of binary data, and {len(binary) - start} are left "
                    "behind the JSON object (is Inference-Header-Content-Length right?)"
                )
            content = binary[start : start + size]
            start += size
        else:
            elements = entry.value("data")
            if not isinstance(elements, list):
                raise entry.wrong("data", "a list")
        tensors.append(
            SentTensor(entry.text("name"), entry.text("datatype"), _shape(entry), elements, content)
        )
    if start < len(binary):
        raise MessageError(
            f"behind the JSON object lie {len(binary)} bytes, and the inputs take {start}"
        )
    return tensors


def _outputs(found: list[JsonObject], binary: bool) -> list[WantedOutput]:
    outputs = []
    for output in found:
        parameters = _parameters(output)
        _refuse_shared_memory(parameters)
        if parameters.content.get("classification"):
            raise MessageError("classification is not for depth: leave class_count out")
        wanted = _flag(parameters, "binary_data", binary)
        datatype = parameters.text("datatype") if "datatype" in parameters.content else None
        outputs.append(WantedOutput(output.text("name"), wanted, datatype))
    names = [output.name for output in outputs]
    for name in names:
        if names.count(name) > 1:
            raise MessageError(f"the output {short(name)} is asked for twice")
    return outputs


def _parameters(entry: JsonObject) -> JsonObject:
    """The parameters of a request, an input or an output; empty if there are none."""
    if entry.content.get("parameters") is None:
        return JsonObject({}, entry.where, MessageError)
    return entry.object("parameters")


def _flag(parameters: JsonObject, key: str, default: bool = False) -> bool:
    if parameters.content.get(key) is None:
        return default
    return bool(parameters.one_of(key, (True, False)))  # type: ignore[arg-type]


def _timeout_s(parameters: JsonObject) -> float | None:
    """Triton's timeout, microseconds; 0 is none."""
    if parameters.content.get("timeout") is None:
        return None
    return min(parameters.whole("timeout"), 10**15) / 1e6 or None


def _refuse_shared_memory(parameters: JsonObject) -> None:
    if any(key.startswith("shared_memory") for key in parameters.content):
        raise MessageError(NO_SHARED_MEMORY)


def _shape(entry: JsonObject) -> tuple[int, ...]:
    shape = entry.value("shape")
    right = isinstance(shape, list) and len(shape) <= _MOST_SIDES
    if not right or not all(type(side) is int and 0 <= side < _MOST_ELEMENTS for side in shape):
        raise entry.wrong("shape", f"a list of up to {_MOST_SIDES} whole numbers")
    return tuple(shape)


NO_SHARED_MEMORY = (
    "this server takes no shared memory: send tensors in the body, as binary data where it matters"
)

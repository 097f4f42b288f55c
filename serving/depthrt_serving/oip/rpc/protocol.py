"""The messages and methods of the protocol over gRPC, described here and built when asked for.

Names, numbers and types are those of the Open Inference Protocol (gRPC, v2), so that its clients
understand them: https://github.com/kserve/open-inference-protocol. Built so, no generated code ties
the server to a version of protobuf.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE, SERVICE = "inference", "inference.GRPCInferenceService"
METHODS = (
    "ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer",
)  # fmt: skip
"""Each takes a message NAMERequest and gives a NAMEResponse."""
_TENSOR = "string name=1, string datatype=2, *int64 shape=3"
# Fields by message: `*` is repeated, `<` a map from strings, `|` one of a choice.
_MESSAGES = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "bool live=1",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "bool ready=1",
    "ModelReadyRequest": "string name=1, string version=2",
    "ModelReadyResponse": "bool ready=1",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": "string name=1, string version=2, *string extensions=3",
    "ModelMetadataRequest": "string name=1, string version=2",
    "TensorMetadata": _TENSOR,
    "ModelMetadataResponse": (
        "string name=1, *string versions=2, string platform=3, *TensorMetadata inputs=4, "
        "*TensorMetadata outputs=5, <string properties=6"
    ),
    "InferParameter": "|bool bool_param=1, |int64 int64_param=2, |string string_param=3",
    "InferTensorContents": (
        "*bool bool_contents=1, *int32 int_contents=2, *int64 int64_contents=3, "
        "*uint32 uint_contents=4, *uint64 uint64_contents=5, *float fp32_contents=6, "
        "*double fp64_contents=7, *bytes bytes_contents=8"
    ),
    "InferInputTensor": f"{_TENSOR}, <InferParameter parameters=4, InferTensorContents contents=5",
    "InferRequestedOutputTensor": "string name=1, <InferParameter parameters=2",
    "ModelInferRequest": (
        "string model_name=1, string model_version=2, string id=3, <InferParameter parameters=4, "
        "*InferInputTensor inputs=5, *InferRequestedOutputTensor outputs=6, "
        "*bytes raw_input_contents=7"
    ),
    "InferOutputTensor": f"{_TENSOR}, <InferParameter parameters=4, InferTensorContents contents=5",
    "ModelInferResponse": (
        "string model_name=1, string model_version=2, string id=3, <InferParameter parameters=4, "
        "*InferOutputTensor outputs=5, *bytes raw_output_contents=6"
    ),
}
_FIELD = re.compile(r"([*<|]?)(\w+) (\w+)=(\d+)")
_Field = descriptor_pb2.FieldDescriptorProto


@cache
def messages() -> Mapping[str, Any]:
    """The class of each message, by name."""
    file = descriptor_pb2.FileDescriptorProto(
        name="depthrt/inference.proto", package=PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        _describe(file.message_type.add(name=name), name, fields)
    pool = descriptor_pool.DescriptorPool()  # a client in this process has the names in another
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
        for name in _MESSAGES
    }


def _describe(message: Any, name: str, fields: str) -> None:
    for form, kind, field_name, number in _FIELD.findall(fields):
        field = message.field.add(name=field_name, number=int(number))
        field.label = _Field.LABEL_REPEATED if form in ("*", "<") else _Field.LABEL_OPTIONAL
        if form == "<":
            entry = "".join(part.capitalize() for part in field_name.split("_")) + "Entry"
            pair = message.nested_type.add(name=entry)
            pair.options.map_entry = True
            _describe(pair, f"{name}.{entry}", f"string key=1, {kind} value=2")
            kind = f"{name}.{entry}"
        elif form == "|":
            if not message.oneof_decl:
                message.oneof_decl.add(name="parameter_choice")
            field.oneof_index = 0
        scalar = getattr(_Field, f"TYPE_{kind.upper()}", None)
        field.type = scalar or _Field.TYPE_MESSAGE
        if scalar is None:
            field.type_name = f".{PACKAGE}.{kind}"

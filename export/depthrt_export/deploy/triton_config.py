"""Triton's ``config.pbtxt`` of a depthrt file.

Fields and their meaning: the message ``ModelConfig`` in
https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto
"""

from __future__ import annotations

from collections.abc import Mapping

from onnx import TensorProto

from depthrt_export.deploy.depth_file import DepthFile, Tensor
from depthrt_export.deploy.settings import TritonSettings
from depthrt_export.deploy.text_proto import Fields, Word, text_of

SPEC_PARAMETER = "depthrt"
"""The parameter that holds the spec as JSON: what a client needs to prepare pictures."""
_TYPES: Mapping[int, str] = {
    TensorProto.UINT8: "TYPE_UINT8",
    TensorProto.FLOAT: "TYPE_FP32",
    TensorProto.BOOL: "TYPE_BOOL",
}
_KINDS = {"auto": "KIND_AUTO", "cpu": "KIND_CPU", "gpu": "KIND_GPU"}


def batch_of(file: DepthFile, settings: TritonSettings) -> int:
    """Triton's ``max_batch_size``: 0 where the graph fixes the batch, so that nothing is batched.

    A graph that takes its int8 ranges from the whole batch gets 1: others in its batch would change
    a picture's depth.
    """
    if file.fixed_batch is not None:
        return 0
    return 1 if file.spec.precision == "int8_dynamic" else settings.batch


def config_text(file: DepthFile, settings: TritonSettings) -> str:
    """The configuration in protobuf's text format."""
    batch = batch_of(file, settings)
    return text_of(
        [
            ("name", file.folder_name),
            ("platform", "onnxruntime_onnx"),
            ("max_batch_size", batch),
            *(("input", _tensor(tensor, batched=batch > 0)) for tensor in file.inputs),
            *(("output", _tensor(tensor, batched=batch > 0)) for tensor in file.outputs),
            ("version_policy", [("latest", [("num_versions", 1)])]),
            *([("dynamic_batching", _batching(batch, settings))] if batch > 1 else []),
            (
                "instance_group",
                [("count", settings.instances), ("kind", Word(_KINDS[settings.device]))],
            ),
            *(("model_warmup", _warm_up(file, size, batched=batch > 0)) for size in _sizes(batch)),
            *(("parameters", _parameter(*entry)) for entry in _parameters(file, settings)),
        ]
    )


def _tensor(tensor: Tensor, *, batched: bool) -> Fields:
    """An input or output; Triton adds the batch itself where it batches."""
    sides = list(tensor.axes[1:] if batched else tensor.axes)
    form: Fields = [
        ("name", tensor.name),
        ("data_type", Word(_TYPES[tensor.element])),
        ("dims", tuple(sides) or (1,)),
    ]
    if not sides:  # one value an image, which dims cannot say
        form.append(("reshape", [("shape", ())]))
    return form


def _batching(batch: int, settings: TritonSettings) -> Fields:
    preferred = tuple(sorted({max(batch // 2, 1), batch} - {1}))
    return [
        ("preferred_batch_size", preferred),
        ("max_queue_delay_microseconds", settings.delay_us),
    ]


def _sizes(batch: int) -> tuple[int, ...]:
    """Batches that are run before the model is called ready: the smallest and the largest."""
    return (1, batch) if batch > 1 else (1,)


def _warm_up(file: DepthFile, images: int, *, batched: bool) -> Fields:
    spec = file.spec.input
    batch = () if batched else (file.fixed_batch or 1,)
    dims = (*batch, 3, spec.height, spec.width)
    value = [("data_type", Word("TYPE_UINT8")), ("dims", dims), ("random_data", True)]
    return [
        ("name", f"{images} of {spec.height}x{spec.width}"),
        ("batch_size", images),
        ("inputs", [("key", file.inputs[0].name), ("value", value)]),
    ]


def _parameters(file: DepthFile, settings: TritonSettings) -> list[tuple[str, str]]:
    threads = settings.threads
    return [
        (SPEC_PARAMETER, file.spec.to_json()),
        ("depthrt_sha256", file.sha256),
        *([] if threads is None else [("intra_op_thread_count", str(threads))]),
    ]


def _parameter(key: str, value: str) -> Fields:
    return [("key", key), ("value", [("string_value", value)])]

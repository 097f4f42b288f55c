"""What the file says of itself: the spec of the float32 file, and of the finished one."""

from __future__ import annotations

import dataclasses
import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version

from depthrt.model.session import import_onnxruntime
from depthrt.spec import ModelSpec
from depthrt_export.build.step_results import Float32, Made
from depthrt_export.options import ExportOptions
from depthrt_export.proof.frame_split import source_name, validation_source
from depthrt_export.proof.witness import Statement
from depthrt_export.quantise.half import BFLOAT16_OPSET
from depthrt_export.sources.network import DepthNetwork

_PACKAGES = ("depthrt", "torch", "onnx", "onnxscript", "transformers")


def opset_for(options: ExportOptions) -> int:
    """The opset asked for, or the first that defines convolutions for bfloat16."""
    return max(options.opset, BFLOAT16_OPSET) if options.precision == "bfloat16" else options.opset


def float32_spec(
    network: DepthNetwork,
    options: ExportOptions,
    changes: tuple[str, ...],
    statement: Statement | None,
) -> ModelSpec:
    """The spec of the float32 file, before it is proven.

    Args:
        network: what is known of the network.
        options: how the file is made.
        changes: a line for each change that was made to the graph.
        statement: the witness', if it was asked.
    """
    said = {} if statement is None else {"witness": statement.line()}
    return ModelSpec(
        name=network.name,
        kind=network.kind,
        input=network.input,
        unit=network.unit,
        valid_range=network.valid_range,
        licence=network.licence,
        provenance={
            **network.provenance,
            "opset": opset_for(options),
            "varies": sorted(options.vary),
            "changes": list(changes),
            "normalisation": asdict(network.normalisation),
            "assumed": {**network.assumed, **said},
            **({} if statement is None else {"witness": statement.facts()}),
            "packages": _packages(),
        },
    )


def final_spec(start: Float32, made: Made, options: ExportOptions) -> ModelSpec:
    """The spec of the finished file."""
    ranges = options.precision in ("int8", "auto")
    source = validation_source(options) if ranges else source_name(options.frames)
    same = list(start.frames.same_sources)
    frames = {
        "source": source,
        "count": len(made.proof.frames),
        **({"same_source_as_calibration": same} if same else {}),
    }
    return dataclasses.replace(
        start.spec,
        output_range=start.spec.output_range or made.proof.output_range,
        precision=made.precision,
        float_nodes=made.float_nodes,
        measured={**made.measured, "frames": frames, "machine": platform.machine()},
    )


def _packages() -> dict[str, str]:
    # By the module: the distribution may be called onnxruntime-gpu or onnxruntime-openvino.
    found = {"onnxruntime": str(import_onnxruntime().__version__)}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found

"""A depthrt float32 file as the source: it says itself what its network is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import onnx
from onnx import numpy_helper

from depthrt.errors import InferenceError, ModelError, UsageError
from depthrt.model.depth_model import DepthModel
from depthrt.spec import METADATA_KEY, ModelSpec
from depthrt_export.build.step_results import Float32
from depthrt_export.console import Phases
from depthrt_export.graph.inner_graph import with_opset
from depthrt_export.graph.nodes import is_quantised
from depthrt_export.model_file import write_model
from depthrt_export.options import ExportOptions, SourceOptions, Vary
from depthrt_export.proof.frame_split import split_frames
from depthrt_export.proof.verify import TOLERANCES, file_reference, prove
from depthrt_export.quantise.half import BFLOAT16_OPSET
from depthrt_export.sources.network import DepthNetwork, Normalisation
from depthrt_export.sources.onnx_file.reading import is_depthrt, read_model


def from_depthrt(
    source: Path,
    graph: onnx.ModelProto,
    said: SourceOptions,
    options: ExportOptions,
    folder: Path,
    phases: Phases,
) -> Float32:
    """A depthrt float32 file in place of a network; ``folder`` takes a copy of it.

    Args:
        source: the file.
        graph: what it holds.
        said: what is said of the network: nothing may be, the file says it.
        options: how the new file is made and proven.
        folder: takes the float32 file.
        phases: shows what is being done.

    Raises:
        ModelError: a file that is quantised already, or one that does not run.
        UsageError: an option was given that only another source can follow.
    """
    _refuse_unused(source, said, options)
    spec = float32_spec_of(source, graph)
    vary = _open(graph)
    _require_running(source)
    network = DepthNetwork(
        spec.name,
        spec.kind,
        spec.input,
        Normalisation(),
        unit=spec.unit,
        licence=spec.licence,
    )
    model = with_opset(graph, BFLOAT16_OPSET) if options.precision == "bfloat16" else graph
    with phases("read frames"):
        frames = split_frames(options, spec.input)
    path = folder / "float32.onnx"
    write_model(model, path)
    reference, within = file_reference(source), TOLERANCES["float32"]
    shown = frames.validation if options.precision == "float32" else frames.validation[:1]
    proof = prove(network, reference, path, shown, vary, within, against=source.name)
    zero = pixel_zero(model)
    if options.precision == "float32":
        spec = dataclasses.replace(spec, measured={**spec.measured, "proof": proof.facts()})
    return Float32(network, reference, "float32", spec, model, path, proof, zero, frames, vary)


def _refuse_unused(source: Path, said: SourceOptions, options: ExportOptions) -> None:
    """Refuse what would be ignored: the file says itself what its network is."""
    changed = [f.name for f in dataclasses.fields(said) if getattr(said, f.name) != f.default]
    if "kind" in changed and "unit" in changed:
        changed.remove("unit")  # --kind metric says both
    named = [name.replace("_", "-") for name in changed]
    named += ["dynamic"] if options.vary else []
    named += ["opset"] if options.opset != ExportOptions.opset else []
    named += [] if options.rewrite else ["no-rewrite"]
    if named:
        raise UsageError(
            f"{source} is a depthrt model, which says itself what it is: leave out "
            + ", ".join(f"--{name}" for name in named)
        )


def _open(model: onnx.ModelProto) -> frozenset[Vary]:
    """Whether the batch is open; sizes are the graph's own affair here."""
    batch = model.graph.input[0].type.tensor_type.shape.dim[0]
    return frozenset({"batch"}) if batch.dim_param else frozenset()


def _require_running(path: Path) -> None:
    """Load and run the file once, as a user does.

    Raises:
        ModelError: graph and spec do not fit together, or it does not run.
    """
    model = DepthModel.load(path, provider="cpu")
    try:
        model.warm_up()
    except InferenceError as error:
        raise ModelError(f"{path} does not run: {error}") from error


def open_float32(path: Path) -> tuple[onnx.ModelProto, ModelSpec]:
    """The graph and the spec of a depthrt file that nothing was quantised in.

    Raises:
        ModelError: it is something else.
    """
    model = read_model(path)
    if not is_depthrt(model):
        raise ModelError(f"{path} is no depthrt model")
    return model, float32_spec_of(path, model)


def float32_spec_of(path: Path, model: onnx.ModelProto) -> ModelSpec:
    """The spec of a depthrt file that nothing was quantised in.

    Raises:
        ModelError: it is something else.
    """
    text = next(entry.value for entry in model.metadata_props if entry.key == METADATA_KEY)
    try:
        spec = ModelSpec.from_json(text)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    if spec.precision != "float32" or is_quantised(model.graph):
        raise ModelError(
            f"{path} is {spec.precision} already: quantise the float32 file, or export the network "
            "again"
        )
    return spec


def pixel_zero(model: onnx.ModelProto) -> tuple[float, ...] | None:
    """What the graph subtracts from pixels before its first convolution; None if unlike ours."""
    readers = [n for n in model.graph.node if "image" in n.input]
    if len(readers) != 1 or readers[0].op_type != "Cast":
        return None
    users = [n for n in model.graph.node if readers[0].output[0] in n.input]
    if all(n.op_type == "Conv" for n in users):
        return (0.0,)
    constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    if len(users) != 1 or users[0].op_type != "Sub" or users[0].input[1] not in constants:
        return None
    after = [n for n in model.graph.node if users[0].output[0] in n.input]
    if not after or any(n.op_type != "Conv" for n in after):
        return None
    return tuple(float(v) for v in constants[users[0].input[1]].reshape(-1))

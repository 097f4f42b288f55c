"""A depthrt float32 file as the source: what ``--precision auto`` needs of a network is in it."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from pathlib import Path

import onnx
from onnx import numpy_helper
from torch import nn

from depthrt.errors import ModelError, UsageError
from depthrt.sinks.base import check_target
from depthrt.spec import METADATA_KEY, ModelSpec
from depthrt_export.auto import to_auto
from depthrt_export.blocks import is_quantised
from depthrt_export.build import Report
from depthrt_export.chosen_frames import chosen_frames
from depthrt_export.convert import Made
from depthrt_export.network import DepthNetwork, Normalisation
from depthrt_export.options import ExportOptions
from depthrt_export.phases import Phases, peak_memory_bytes
from depthrt_export.place import finish
from depthrt_export.verify import file_reference, prove


def build_from_file(source: Path, target: Path, options: ExportOptions, phases: Phases) -> Report:
    """Search for the fastest form of a depthrt float32 file and put it in place.

    Raises:
        ModelError: no depthrt file, or one that is quantised already.
        UsageError: anything but ``--precision auto`` was asked for.
    """
    check_target(target, overwrite=options.overwrite, source=source)
    if options.precision != "auto":
        raise UsageError(f"{source} is an ONNX file: with one as the source only --precision auto")
    model, spec = open_float32(source)
    network = DepthNetwork(
        nn.Identity(), spec.name, spec.kind, spec.input, Normalisation(), licence=spec.licence
    )
    with phases("read frames"):
        chosen = chosen_frames(options, spec.input)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.stem}.") as folder:
        work = Path(folder) / "float32.onnx"
        shutil.copyfile(source, work)
        proof = prove(network, file_reference(work), work, chosen.validation[:1])
        made = Made(model, proof, "float32", (), dict(spec.measured), ())
        auto = to_auto(network, made, pixel_zero(model), work, target, chosen, options, phases)
        made = auto.made
        spec = dataclasses.replace(
            spec,
            precision=made.precision or spec.precision,
            float_nodes=made.float_nodes,
            measured=made.measured,
        )
        with phases("write and load"):
            finish(made.model, spec, Path(folder) / target.name, target, made.runs_here)
    return Report(
        target,
        spec,
        made.proof,
        made.reference,
        (*chosen.notes, *made.notes),
        phases.times_s,
        peak_memory_bytes(),
        target.stat().st_size,
        auto.found,
    )


def open_float32(path: Path) -> tuple[onnx.ModelProto, ModelSpec]:
    """The graph and the spec of a depthrt file that nothing was quantised in.

    Raises:
        ModelError: it is something else.
    """
    if not path.is_file():
        raise ModelError(f"no model file at {path}: check the path")
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's own classes derive from nothing narrower
        raise ModelError(f"{path} is no ONNX file") from error
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    if METADATA_KEY not in metadata:
        raise ModelError(f"{path} is no depthrt model: export the PyTorch network instead")
    spec = ModelSpec.from_json(metadata[METADATA_KEY])
    if spec.precision != "float32" or is_quantised(model.graph):
        raise ModelError(
            f"{path} is {spec.precision} already: quantise the float32 file, or export the network "
            "again"
        )
    return model, spec


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

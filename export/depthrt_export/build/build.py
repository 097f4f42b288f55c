"""From a source to a proven file, step by step."""

from __future__ import annotations

import dataclasses
import platform
import tempfile
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import onnx

from depthrt.errors import AccuracyGateError
from depthrt.model.session import import_onnxruntime
from depthrt.spec import ModelSpec
from depthrt_benchmarks.common.peak_memory import peak_memory_bytes
from depthrt_calibration.frames import evenly
from depthrt_export.build.auto import to_auto
from depthrt_export.build.convert import to_half_precision, to_int8
from depthrt_export.build.from_onnx import from_onnx
from depthrt_export.build.made import Float32, Made
from depthrt_export.console import Phases
from depthrt_export.graph.export import export_graph
from depthrt_export.graph.fold_normalisation import fold_normalisation
from depthrt_export.model_file import check_outputs, put_in_place, write_model
from depthrt_export.options import ExportOptions, SourceOptions
from depthrt_export.proof.frame_split import (
    FRAMES_WITHOUT_RANGES,
    FrameSplit,
    source_name,
    split_frames,
    validation_source,
)
from depthrt_export.proof.independence import require_alone
from depthrt_export.proof.verify import TOLERANCES, prove
from depthrt_export.proof.witness import Statement, ask_witness
from depthrt_export.quantise.half import BFLOAT16_OPSET
from depthrt_export.quantise.targets import suited, target
from depthrt_export.report.export_report import Report
from depthrt_export.sources.load import load_network
from depthrt_export.sources.network import DepthNetwork, probe, torch_reference
from depthrt_export.sources.outputs import OutputForm, autocast_was_used

_PACKAGES = ("depthrt", "torch", "onnx", "onnxscript", "transformers")


def build(
    source: str, output: Path, said: SourceOptions, options: ExportOptions, phases: Phases
) -> Report:
    """Export a network, prove the file and put it in place.

    Args:
        source: a network in one of the forms of :func:`load_network`, or a depthrt .onnx file.
        output: the .onnx file to make.
        said: what is said of the network beside its source.
        options: how the file is made and proven.
        phases: shows what is being done.

    Raises:
        DepthrtError: whatever is wrong, in one sentence; the output is then as it was.
    """
    check_outputs(source, output, said, options)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.stem}.") as folder:
        if source.endswith(".onnx"):
            start = from_onnx(Path(source), said, options, Path(folder), phases)
        else:
            start = _from_network(source, said, options, output, Path(folder), phases)
        made = _convert(start, output, options, phases)
        spec = _final_spec(start, made, options)
        with phases("write and load"):
            put_in_place(made.model, spec, output, made.runs_here, overwrite=options.overwrite)
    return Report(
        output,
        spec,
        made.proof,
        made.reference,
        (*start.frames.notes, *start.changes, *made.notes),
        tuple(phases.notes),
        phases.times_s,
        peak_memory_bytes(),
        output.stat().st_size,
        made.found,
    )


def _from_network(
    source: str,
    said: SourceOptions,
    options: ExportOptions,
    output: Path,
    folder: Path,
    phases: Phases,
) -> Float32:
    """Trace a PyTorch network, rewrite its graph, and prove the float32 file against it."""
    with phases("load the network"):
        network = load_network(source, said)
        autocast_was_used()  # forget that of earlier networks
        form = probe(network)
    with phases("read frames"):
        frames = split_frames(options, network.input)
    network = _with_what_was_seen(network, form)
    for topic, sentence in network.assumed.items():
        phases.note(f"{topic}: {sentence}")
    reference = torch_reference(network, form)
    with phases("run pictures alone and together"):
        batch_open = "batch" in options.vary
        require_alone(network, reference, frames.validation, batch_open=batch_open)
    statement = _statement(network, form, frames, options, phases) if network.witnessed else None
    with phases("trace and translate"):
        model = export_graph(network, form, options.vary, opset_for(options))
    with phases("fold and rewrite"):
        folded = fold_normalisation(model)
        model, rewrites = _rewrite(model) if options.rewrite else (model, [])
        if options.precision not in ("int8", "auto"):  # those quantise the fused graph
            model = suited(model, target(options.target).provider)
    path = folder / "float32.onnx"
    write_model(model, path)
    with phases("prove against PyTorch"):
        shown = evenly(frames.validation, FRAMES_WITHOUT_RANGES)
        within = TOLERANCES["float32"]
        proof = prove(network, reference, path, shown, options.vary, within)
    if not network.named:  # refusals name the factory, the file itself
        network = dataclasses.replace(network, name=output.stem.replace("_", "-"))
        model.graph.name = network.name
    changes = (folded.note, *rewrites)
    spec = dataclasses.replace(
        _spec(network, options, changes, statement), measured={"proof": proof.facts()}
    )
    return Float32(
        network,
        reference,
        "PyTorch",
        spec,
        model,
        path,
        proof,
        folded.zero,
        frames,
        options.vary,
        changes,
    )


def _with_what_was_seen(network: DepthNetwork, form: OutputForm) -> DepthNetwork:
    """The network with a sentence on each choice that was made when it was first run."""
    seen = {}
    if form.others and not network.output:
        others = ", ".join(form.others)
        seen["output"] = (
            f"{form.key} was taken for the depth (beside it: {others}); say --depth-output KEY for "
            "another"
        )
    if autocast_was_used():
        seen["autocast"] = "switched off: the network computes in float32"
    return dataclasses.replace(network, assumed={**network.assumed, **seen})


def _statement(
    network: DepthNetwork,
    form: OutputForm,
    frames: FrameSplit,
    options: ExportOptions,
    phases: Phases,
) -> Statement:
    """What the built-in model says of normalisation and direction.

    Raises:
        AccuracyGateError: it speaks against them, and ``options.strict`` makes that a refusal.
    """
    with phases("ask the built-in model"):
        ranges = options.precision in ("int8", "auto")
        given = options.frames or (ranges and (options.calibration or options.validate)) or None
        samples = [*frames.calibration, *frames.validation]
        found = ask_witness(network, form, samples, of_clip=given is None)
    if found.verdict == "contradicts" and options.strict:
        raise AccuracyGateError(found.line())
    phases.note(f"witness: {found.line()}")
    return found


def _convert(start: Float32, output: Path, options: ExportOptions, phases: Phases) -> Made:
    """The graph in the precision that is asked for."""
    if options.precision == "auto":
        return to_auto(start, output, options, phases)
    if options.precision == "int8":
        return to_int8(start, options, phases)
    if options.precision == "float32":
        return Made(start.model, start.proof, start.reference_name, start.spec.measured)
    return to_half_precision(start, options.precision, phases)


def opset_for(options: ExportOptions) -> int:
    """The opset asked for, or the first that defines convolutions for bfloat16."""
    return max(options.opset, BFLOAT16_OPSET) if options.precision == "bfloat16" else options.opset


def _rewrite(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    from depthrt_export.rewrites.rewrite import rewrite  # onnxscript, which takes a while

    return rewrite(model)


def _spec(
    network: DepthNetwork,
    options: ExportOptions,
    changes: tuple[str, ...],
    statement: Statement | None,
) -> ModelSpec:
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


def _final_spec(start: Float32, made: Made, options: ExportOptions) -> ModelSpec:
    ranges = options.precision in ("int8", "auto")
    source = validation_source(options) if ranges else source_name(options.frames)
    frames = {"source": source, "count": len(made.proof.frames)}
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

"""From a source to a proven file, step by step."""

from __future__ import annotations

import platform
import tempfile
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import onnx

from depthrt.model.session import import_onnxruntime
from depthrt.spec import ModelSpec, Precision
from depthrt_calibration.frames import evenly, sample_frames
from depthrt_export.build.auto import to_auto
from depthrt_export.build.convert import Made, proof_facts, source_name, to_half_precision, to_int8
from depthrt_export.build.input_files import check_outputs
from depthrt_export.graph.export import export_graph
from depthrt_export.graph.fold_normalisation import fold_normalisation
from depthrt_export.graph.probe import probe
from depthrt_export.model_file import finish, write_model
from depthrt_export.options import ExportOptions, SourceOptions
from depthrt_export.progress import Phases, peak_memory_bytes
from depthrt_export.proof.frame_split import Chosen, chosen_frames
from depthrt_export.proof.independence import require_alone
from depthrt_export.proof.verify import (
    TOLERANCES,
    prove,
    torch_reference,
)
from depthrt_export.quantise.half import BFLOAT16_OPSET
from depthrt_export.quantise.targets import suited
from depthrt_export.quantise.targets import target as preset
from depthrt_export.report.export_report import Report
from depthrt_export.sources.load import load_network
from depthrt_export.sources.network import DepthNetwork

PROOF_FRAMES = 8

_PACKAGES = ("depthrt", "torch", "onnx", "onnxscript", "transformers")


def build(
    source: str, target: Path, said: SourceOptions, options: ExportOptions, phases: Phases
) -> Report:
    """Export a network, prove the file and put it in place.

    Raises:
        DepthrtError: whatever is wrong, in one sentence; the target is then as it was.
    """
    if source.endswith(".onnx"):
        from depthrt_export.build.from_onnx import build_from_file

        return build_from_file(Path(source), target, said, options, phases)
    check_outputs(source, target, said, options)
    with phases("load the network"):
        network = load_network(source, said)
        form = probe(network)
    with phases("read frames"):
        chosen = _frames(network, options)
        samples = list(chosen.validation)
    reference = torch_reference(network, form)
    with phases("run pictures alone and together"):
        require_alone(network, reference, samples, batch_open="batch" in options.vary)
    with phases("trace and translate"):
        model = export_graph(network, form, options.vary, opset_for(options))
    with phases("fold and rewrite"):
        folded = fold_normalisation(model)
        model, rewrites = _rewrite(model) if options.rewrite else (model, [])
        if options.precision not in ("int8", "auto"):  # those quantise the fused graph
            model = suited(model, preset(options.target).provider)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.stem}.") as folder:
        work = Path(folder) / "float32.onnx"
        write_model(model, work)
        with phases("prove against PyTorch"):
            proof = prove(
                network,
                reference,
                work,
                evenly(samples, PROOF_FRAMES),
                options.vary,
                TOLERANCES["float32"],
            )
        made = Made(model, proof, "PyTorch", (), {"proof": proof_facts(proof)}, ())
        auto = None
        if options.precision == "auto":
            auto = to_auto(network, made, folded.zero, work, target, chosen, options, phases)
            made = auto.made
        elif options.precision == "int8":
            made = to_int8(network, made, folded, work, chosen, options, phases)
        elif options.precision != "float32":
            made = to_half_precision(network, form, made, Path(folder), samples, options, phases)
        spec = _spec(network, options, made, [folded.note, *rewrites])
        with phases("write and load"):
            finish(made.model, spec, target, made.runs_here, overwrite=options.overwrite)
    return Report(
        target,
        spec,
        made.proof,
        made.reference,
        (*chosen.notes, folded.note, *rewrites, *made.notes),
        phases.times_s,
        peak_memory_bytes(),
        target.stat().st_size,
        None if auto is None else auto.found,
    )


def opset_for(options: ExportOptions) -> int:
    """The opset asked for, or the first that defines convolutions for bfloat16."""
    return max(options.opset, BFLOAT16_OPSET) if options.precision == "bfloat16" else options.opset


def _frames(network: DepthNetwork, options: ExportOptions) -> Chosen:
    """Frames for the ranges (int8 and auto), and frames for the proof that are not among them."""
    if options.precision not in ("int8", "auto"):
        return Chosen([], sample_frames(options.frames, PROOF_FRAMES, network.input))
    return chosen_frames(options, network.input)


def _rewrite(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    from depthrt_export.rewrites.rewrite import rewrite

    return rewrite(model)


def _spec(
    network: DepthNetwork, options: ExportOptions, made: Made, changes: list[str]
) -> ModelSpec:
    judged = options.validate if options.precision in ("int8", "auto") else None
    frames = {"source": source_name(judged or options.frames), "count": len(made.proof.frames)}
    return ModelSpec(
        name=network.name,
        kind=network.kind,
        input=network.input,
        unit=network.unit,
        valid_range=network.valid_range,
        output_range=made.proof.output_range,
        precision=made.precision or _precision(options),
        float_nodes=made.float_nodes,
        licence=network.licence,
        provenance={
            **network.provenance,
            "opset": opset_for(options),
            "varies": sorted(options.vary),
            "changes": changes,
            "normalisation": asdict(network.normalisation),
            "packages": _packages(),
        },
        measured={"frames": frames, **made.measured, "machine": platform.machine()},
    )


def _precision(options: ExportOptions) -> Precision:
    return "float32" if options.precision == "auto" else options.precision


def _packages() -> dict[str, str]:
    # By the module: the distribution may be called onnxruntime-gpu or onnxruntime-openvino.
    found = {"onnxruntime": str(import_onnxruntime().__version__)}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found

"""A proven float32 graph in another precision, proven again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx

from depthrt.errors import AccuracyGateError, ModelError, UsageError
from depthrt.sources.display_name import shown_source
from depthrt.spec import Precision
from depthrt_calibration.frames import Sample
from depthrt_calibration.ranges import collect_ranges
from depthrt_export.graph.fold_normalisation import FoldResult
from depthrt_export.graph.probe import OutputForm
from depthrt_export.model_file import works, write_model
from depthrt_export.options import ExportOptions
from depthrt_export.progress import Phases
from depthrt_export.proof.frame_split import Chosen
from depthrt_export.proof.paired_timing import paired
from depthrt_export.proof.verify import TOLERANCES, Proof, file_reference, prove, torch_reference
from depthrt_export.quantise.emulate_half import rounding_graph
from depthrt_export.quantise.half import HalfPrecision, to_half
from depthrt_export.quantise.recipes import StaticRecipe
from depthrt_export.quantise.static_int8 import Int8Recipe, quantise
from depthrt_export.quantise.targets import suited, target
from depthrt_export.search.pareto import CPU
from depthrt_export.sources.network import DepthNetwork

_TIMING_S = 3.0


@dataclass(frozen=True, eq=False)
class Made:
    """A graph, its proof against ``reference``, and what is to be said of it.

    ``runs_here``: whether onnxruntime has kernels for it on this machine's CPU;
    ``precision``: where it is not the one that was asked for.
    """

    model: onnx.ModelProto
    proof: Proof
    reference: str
    float_nodes: tuple[str, ...]
    measured: Mapping[str, Any]
    notes: tuple[str, ...]
    runs_here: bool = True
    precision: Precision | None = None


def to_int8(
    network: DepthNetwork,
    made: Made,
    folded: FoldResult,
    float_path: Path,
    frames: Chosen,
    options: ExportOptions,
    phases: Phases,
) -> Made:
    """int8, judged by the float32 file on frames that calibration never saw, and timed beside it.

    Raises:
        AccuracyGateError: it differs by more than ``options.max_error``.
        UsageError: nothing in the graph can be quantised, or the target runs no int8.
    """
    recipe = int8_recipe(options.target)
    calibration, held_out = frames.calibration, frames.validation
    with phases("collect ranges"):
        ranges = collect_ranges(made.model, calibration, recipe.percentile)
    with phases("quantise"):
        result = quantise(made.model, ranges, recipe, folded.zero)
        own = target(options.target).provider
        model = suited(result.model, own)
        path = float_path.with_name("int8.onnx")
        write_model(model, path)
    with phases("prove against float32"):
        proof = prove(network, file_reference(float_path), path, held_out, options.vary)
    error = proof.figures["mean_error"]
    if not error <= options.max_error:
        raise AccuracyGateError(
            f"int8 differs from float32 by {error:.3f} of the depth's spread on frames that were "
            f"not used for calibration, allowed {options.max_error:g}: keep float32, calibrate on "
            "frames like yours with --frames, or allow more with --max-error"
        )
    with phases("time beside float32"):
        provider = own if works(path, own) else CPU
        speed = paired(path, float_path, held_out[0].pixels, _TIMING_S, provider)
    facts = {
        "reference": "the float32 graph",
        "calibration_frames": len(calibration),
        "calibration_source": source_name(options.calibration or options.frames),
        "weight_bits": 7 if recipe.reduce_range else 8,
        "method": "min-max" if recipe.percentile is None else f"percentile {recipe.percentile:g}",
        **proof_facts(proof),
        "provider": provider,
        "latency_ratio": speed.ratio,
        "latency_ms": speed.latency_ms,
        "float32_latency_ms": speed.reference_ms,
    }
    notes = [result.note]
    if recipe.reduce_range:
        notes.append("weights of 7 bits: a CPU without VNNI sums them fast and exactly")
    if options.target not in ("host", provider):
        notes.append(f"timed on this machine's CPU, which need not be {options.target}")
    elif speed.slower:
        notes.append(
            f"int8 is SLOWER than float32 here ({speed.ratio:.2f}): float32 may serve better"
        )
    measured = {**made.measured, "int8": facts}
    return Made(model, proof, "float32", result.float_nodes, measured, tuple(notes))


def int8_recipe(name: str) -> Int8Recipe:
    """How a target wants int8.

    Raises:
        UsageError: no such target, or none that runs int8.
    """
    machine = target(name)
    static = next((r for r in machine.convolutional if isinstance(r, StaticRecipe)), None)
    if static is None:
        raise UsageError(f"--target {name} runs no int8 ({machine.why}): take --precision fp16")
    return Int8Recipe(
        percentile=static.percentile,
        reduce_range=static.reduce_range,
        activations=static.activations,
        fused=static.fused,
    )


def to_half_precision(
    network: DepthNetwork,
    form: OutputForm,
    made: Made,
    folder: Path,
    samples: list[Sample],
    options: ExportOptions,
    phases: Phases,
) -> Made:
    """float16 or bfloat16, judged by PyTorch; by its float32 likeness where it does not run here.

    Raises:
        AccuracyGateError: it differs by more than the precision's tolerance.
        UsageError: the graph cannot be converted.
    """
    precision: HalfPrecision = "float16" if options.precision == "float16" else "bfloat16"
    path = folder / "half.onnx"
    with phases(f"convert to {precision}"):
        half = to_half(made.model, precision, samples)
        write_model(half.model, path)
    with phases(f"prove {precision}"):
        try:
            proof, missing = _prove_half(network, form, path, samples, options), ""
        except ModelError as error:
            missing = _kernel(error)
            write_model(rounding_graph(made.model, precision, half.kept), path)
            proof = _prove_half(network, form, path, samples, options)
    notes, facts = half.notes, proof_facts(proof)
    if missing:
        facts["proven_by"] = f"a float32 graph that rounds every tensor to {precision}"
        notes = (
            *notes,
            f"this CPU does not run it ({missing}): proven by a float32 graph that rounds every "
            f"tensor to {precision}; run it with a provider that has {precision}",
        )
    measured = {**made.measured, precision: facts}
    return Made(half.model, proof, "PyTorch", half.float_nodes, measured, notes, not missing)


def _prove_half(
    network: DepthNetwork,
    form: OutputForm,
    path: Path,
    samples: list[Sample],
    options: ExportOptions,
) -> Proof:
    reference = torch_reference(network, form)
    tolerance = TOLERANCES[options.precision]
    return prove(network, reference, path, samples, options.vary, tolerance)


def _kernel(error: ModelError) -> str:
    """What onnxruntime could not find, without the path of a temporary file."""
    _, found, what = str(error).partition("Could not find an implementation for ")
    return f"no kernel for {what.rstrip(')')}" if found else "the session does not load"


def proof_facts(proof: Proof) -> dict[str, Any]:
    """Figures of a proof for the metadata."""
    facts: dict[str, Any] = {"frames": len(proof.frames), **proof.figures}
    if proof.variations:
        facts["other_shapes"] = [
            {"batch": v.batch, "size": list(v.size), "max_error": v.max_error}
            for v in proof.variations
        ]
    if proof.together is not None:
        facts["batches"] = asdict(proof.together)
    return facts


def source_name(source: str | None) -> str:
    """The last part alone: a file of others need not know our folders, nor our passwords."""
    return "the clip of depthrt" if source is None else Path(shown_source(source)).name

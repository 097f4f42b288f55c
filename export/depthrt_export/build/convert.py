"""The float32 graph in another precision, proven again."""

from __future__ import annotations

from depthrt.errors import AccuracyGateError, ModelError
from depthrt_calibration.ranges import collect_ranges
from depthrt_export.build.step_results import Float32, Made
from depthrt_export.console import Phases
from depthrt_export.model_file import works, write_model
from depthrt_export.options import ExportOptions
from depthrt_export.proof.evaluator import time_files
from depthrt_export.proof.frame_split import calibration_source
from depthrt_export.proof.verify import TOLERANCES, file_reference, prove
from depthrt_export.quantise.emulate_half import rounding_graph
from depthrt_export.quantise.half import HalfPrecision, to_half
from depthrt_export.quantise.static_int8 import quantise
from depthrt_export.quantise.targets import CPU, int8_recipe, suited, target

_TIMING_S = 3.0


def to_int8(start: Float32, options: ExportOptions, phases: Phases) -> Made:
    """int8: proven against float32 on frames that calibration never saw, and timed beside it.

    Raises:
        AccuracyGateError: it differs by more than ``options.max_error``.
        UsageError: nothing in the graph can be quantised, or the target runs no int8.
    """
    recipe = int8_recipe(options.target)
    calibration, held_out = start.frames.calibration, start.frames.validation
    with phases("collect ranges"):
        ranges = collect_ranges(start.model, calibration, recipe.percentile)
    with phases("quantise"):
        result = quantise(start.model, ranges, recipe, start.pixel_zero)
        own = target(options.target).provider
        model = suited(result.model, own)
        path = start.path.with_name("int8.onnx")
        write_model(model, path)
    with phases("prove against float32"):
        proof = prove(start.network, file_reference(start.path), path, held_out, start.vary)
    error = proof.figures["mean_error"]
    if not error <= options.max_error:
        raise AccuracyGateError(
            f"int8 differs from float32 by {error:.3f} of the depth's spread on frames that were "
            f"not used for calibration, allowed {options.max_error:g}: keep float32, calibrate on "
            "frames like yours with --frames, or allow more with --max-error"
        )
    with phases("time beside float32"):
        provider = own if works(path, own) else CPU
        speed = time_files(path, start.path, held_out[0].pixels, _TIMING_S, provider)
    facts = {
        "reference": "the float32 graph",
        "calibration_frames": len(calibration),
        "calibration_source": calibration_source(options),
        "weight_bits": 7 if recipe.reduce_range else 8,
        "method": "min-max" if recipe.percentile is None else f"percentile {recipe.percentile:g}",
        **proof.facts(),
        "provider": provider,
        "latency_ratio": speed.ratio,
        "latency_ratio_interval": [speed.low, speed.high],
        "latency_ms": speed.latency_ms,
        "float32_latency_ms": speed.reference_ms,
    }
    notes = [result.note]
    if recipe.reduce_range:
        notes.append("weights of 7 bits: a CPU without VNNI sums them fast and exactly")
    if options.target not in ("host", provider):
        notes.append(f"timed on this machine's CPU, which need not be {options.target}")
    elif speed.slower:
        notes.append(f"int8 is SLOWER than float32 here ({speed.text()}): float32 may serve better")
    measured = {**start.spec.measured, "int8": facts}
    return Made(model, proof, "float32", measured, "int8", result.float_nodes, tuple(notes))


def to_half_precision(start: Float32, precision: HalfPrecision, phases: Phases) -> Made:
    """float16 or bfloat16, proven against PyTorch.

    Where this CPU has no kernels for it, a float32 graph that rounds as it does is proven instead.

    Raises:
        AccuracyGateError: it differs by more than the precision's tolerance.
        UsageError: the graph cannot be converted.
    """
    samples, path = start.frames.validation, start.path.with_name("half.onnx")
    comparison = (samples, start.vary, TOLERANCES[precision])
    with phases(f"convert to {precision}"):
        half = to_half(start.model, precision, samples)
        write_model(half.model, path)
    with phases(f"prove {precision}"):
        try:
            proof, missing = prove(start.network, start.reference, path, *comparison), ""
        except ModelError as error:
            missing = _kernel(error)
            write_model(rounding_graph(start.model, precision, half.kept), path)
            proof = prove(start.network, start.reference, path, *comparison)
    notes, facts = half.notes, proof.facts()
    if missing:
        facts["proven_by"] = f"a float32 graph that rounds every tensor to {precision}"
        notes = (
            *notes,
            f"this CPU does not run it ({missing}): proven by a float32 graph that rounds every "
            f"tensor to {precision}; run it with a provider that has {precision}",
        )
    return Made(
        half.model,
        proof,
        start.reference_name,
        {**start.spec.measured, precision: facts},
        precision,
        half.float_nodes,
        notes,
        runs_here=not missing,
        proven=path if missing else None,
    )


def _kernel(error: ModelError) -> str:
    """What onnxruntime could not find, without the path of a temporary file."""
    _, found, what = str(error).partition("Could not find an implementation for ")
    return f"no kernel for {what.rstrip(')')}" if found else "the session does not load"

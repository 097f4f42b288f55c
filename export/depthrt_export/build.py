"""From a source to a proven file, step by step."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import onnx

from depthrt.errors import AccuracyGateError, UsageError
from depthrt.sinks.base import check_target
from depthrt.spec import ModelSpec
from depthrt_calibration.frames import Sample, sample_frames, split
from depthrt_calibration.ranges import collect_ranges
from depthrt_export.fold import FoldResult, fold_normalisation
from depthrt_export.graph import export_graph
from depthrt_export.latency import latency_ratio
from depthrt_export.network import DepthNetwork
from depthrt_export.options import ExportOptions, SourceOptions
from depthrt_export.phases import Phases, peak_memory_bytes
from depthrt_export.place import finish, write_model
from depthrt_export.probe import probe
from depthrt_export.quantise import Int8Recipe, quantise
from depthrt_export.sources import load_network
from depthrt_export.verify import (
    TOLERANCES,
    Proof,
    Reference,
    file_reference,
    prove,
    torch_reference,
)

PROOF_FRAMES = 8
CALIBRATION_FRAMES = 64
HELD_OUT_FRAMES = 16
_FEWEST_INT8_FRAMES = 10

_PACKAGES = ("depthrt", "torch", "onnx", "onnxscript", "onnxruntime", "transformers")


@dataclass(frozen=True, eq=False)
class Report:
    """What came out: the file and its spec, the proof, what it cost."""

    target: Path
    spec: ModelSpec
    proof: Proof
    reference: str
    notes: tuple[str, ...]
    times_s: Mapping[str, float]
    peak_memory_bytes: int
    file_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """The JSON document of ``--json``."""
        return {
            "model": str(self.target),
            "file_bytes": self.file_bytes,
            "peak_memory_bytes": self.peak_memory_bytes,
            "times_s": dict(self.times_s),
            "notes": list(self.notes),
            "spec": asdict(self.spec),
        }


@dataclass(frozen=True, eq=False)
class _Made:
    """A graph, its proof against ``reference``, and what is to be said of it."""

    model: onnx.ModelProto
    proof: Proof
    reference: str
    float_nodes: tuple[str, ...]
    measured: Mapping[str, Any]
    notes: tuple[str, ...]


def build(
    source: str, target: Path, said: SourceOptions, options: ExportOptions, phases: Phases
) -> Report:
    """Export a network, prove the file and put it in place.

    Raises:
        DepthrtError: whatever is wrong, in one sentence; the target is then as it was.
    """
    check_target(target, overwrite=options.overwrite)
    with phases("load the network"):
        network = load_network(source, said)
        form = probe(network)
    with phases("read frames"):
        calibration, samples = _frames(network, options)
    with phases("trace and translate"):
        model = export_graph(network, form, options.vary, options.opset)
    with phases("fold and rewrite"):
        folded = fold_normalisation(model)
        model, rewrites = _rewrite(model) if options.rewrite else (model, [])
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.stem}.") as folder:
        work = Path(folder) / "float32.onnx"
        write_model(model, work)
        with phases("prove against PyTorch"):
            proof = prove(
                network,
                torch_reference(network, form),
                work,
                _spread(samples, PROOF_FRAMES),
                options.vary,
                TOLERANCES["float32"],
            )
        made = _Made(model, proof, "PyTorch", (), {"proof": _proof_facts(proof)}, ())
        if options.precision == "int8":
            made = _int8(network, made, folded, work, calibration, samples, options, phases)
        elif options.precision != "float32":
            reference = torch_reference(network, form)
            made = _half(network, reference, made, Path(folder), samples, options, phases)
        spec = _spec(network, options, made, [folded.note, *rewrites])
        with phases("write and load"):
            finish(made.model, spec, Path(folder) / target.name, target)
    return Report(
        target,
        spec,
        made.proof,
        made.reference,
        (folded.note, *rewrites, *made.notes),
        phases.times_s,
        peak_memory_bytes(),
        target.stat().st_size,
    )


def _frames(network: DepthNetwork, options: ExportOptions) -> tuple[list[Sample], list[Sample]]:
    """Frames for the ranges (int8 alone), and frames for the proof that are not among them."""
    if options.precision != "int8":
        return [], sample_frames(options.frames, PROOF_FRAMES, network.input)
    if options.calibration is not None:
        calibration = sample_frames(options.calibration, CALIBRATION_FRAMES, network.input)
        held_out = sample_frames(options.frames, HELD_OUT_FRAMES, network.input)
    else:
        count = CALIBRATION_FRAMES + HELD_OUT_FRAMES
        calibration, held_out = split(sample_frames(options.frames, count, network.input))
    if len(calibration) < _FEWEST_INT8_FRAMES or not held_out:
        raise UsageError(
            f"int8 needs ranges from at least {_FEWEST_INT8_FRAMES} frames, not "
            f"{len(calibration)}: give a video or more images as --frames"
        )
    return calibration, held_out


def _rewrite(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    from depthrt_export.rewrites import rewrite

    return rewrite(model)


def _int8(
    network: DepthNetwork,
    made: _Made,
    folded: FoldResult,
    float_path: Path,
    calibration: list[Sample],
    held_out: list[Sample],
    options: ExportOptions,
    phases: Phases,
) -> _Made:
    recipe = Int8Recipe()
    with phases("collect ranges"):
        ranges = collect_ranges(made.model, calibration, recipe.percentile)
    with phases("quantise"):
        result = quantise(made.model, ranges, recipe, folded.zero)
        path = float_path.with_name("int8.onnx")
        write_model(result.model, path)
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
        speed = latency_ratio(path, float_path, held_out[0].pixels)
    facts = {
        "reference": "the float32 graph",
        "calibration_frames": len(calibration),
        "calibration_source": _source_name(options.calibration or options.frames),
        "method": "min-max" if recipe.percentile is None else f"percentile {recipe.percentile:g}",
        **_proof_facts(proof),
        "latency_ratio": round(speed.ratio, 3),
        "latency_ms": round(speed.latency_ms, 3),
        "float32_latency_ms": round(speed.reference_ms, 3),
    }
    notes = [result.note]
    if speed.ratio > 1:
        notes.append(
            f"int8 is SLOWER than float32 here ({speed.ratio:.2f}): float32 may serve better"
        )
    measured = {**made.measured, "int8": facts}
    return _Made(result.model, proof, "float32", result.float_nodes, measured, tuple(notes))


def _half(
    network: DepthNetwork,
    reference: Reference,
    made: _Made,
    folder: Path,
    samples: list[Sample],
    options: ExportOptions,
    phases: Phases,
) -> _Made:
    from depthrt_export.precision import to_half

    with phases(f"convert to {options.precision}"):
        result = to_half(made.model, options.precision, samples)
        path = folder / "half.onnx"
        write_model(result.model, path)
    with phases(f"prove {options.precision}"):
        tolerance = TOLERANCES[options.precision]
        proof = prove(network, reference, path, samples, options.vary, tolerance)
    measured = {**made.measured, options.precision: _proof_facts(proof)}
    return _Made(result.model, proof, "PyTorch", result.float_nodes, measured, result.notes)


def _spec(
    network: DepthNetwork, options: ExportOptions, made: _Made, changes: list[str]
) -> ModelSpec:
    frames = {"source": _source_name(options.frames), "count": len(made.proof.frames)}
    return ModelSpec(
        name=network.name,
        kind=network.kind,
        input=network.input,
        unit=network.unit,
        valid_range=network.valid_range,
        output_range=made.proof.output_range,
        precision=options.precision,
        float_nodes=made.float_nodes,
        licence=network.licence,
        provenance={
            **network.provenance,
            "opset": options.opset,
            "varies": sorted(options.vary),
            "changes": changes,
            "normalisation": asdict(network.normalisation),
            "packages": _packages(),
        },
        measured={"frames": frames, **made.measured, "machine": platform.machine()},
    )


def _proof_facts(proof: Proof) -> dict[str, Any]:
    facts: dict[str, Any] = {"frames": len(proof.frames), **proof.figures}
    if proof.variations:
        facts["other_shapes"] = [
            {"batch": v.batch, "size": list(v.size), "max_error": v.max_error}
            for v in proof.variations
        ]
    return facts


def _spread(samples: list[Sample], count: int) -> list[Sample]:
    step = max(1, len(samples) // count)
    return samples[::step][:count]


def _source_name(source: str | None) -> str:
    """The last part alone: a file of others need not know our folders."""
    return "the clip of depthrt" if source is None else Path(source).name


def _packages() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found

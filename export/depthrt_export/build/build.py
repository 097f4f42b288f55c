"""From a source to a proven file, step by step."""

from __future__ import annotations

import tempfile
from pathlib import Path

from depthrt.model.golden.entry import Golden
from depthrt.monitor.reference import Reference
from depthrt.spec import ModelSpec
from depthrt_benchmarks.common.peak_memory import peak_memory_bytes
from depthrt_export.build.auto import to_auto
from depthrt_export.build.checks import compare_optional_outputs, doubt_metres
from depthrt_export.build.convert import to_half_precision, to_int8
from depthrt_export.build.onnx_file.from_onnx import from_onnx
from depthrt_export.build.spec import final_spec
from depthrt_export.build.step_results import Float32, Made
from depthrt_export.console import Phases
from depthrt_export.model_file import check_outputs, put_in_place, write_model
from depthrt_export.options import ExportOptions, SourceOptions
from depthrt_export.proof.field_checks import drift_reference, make_golden
from depthrt_export.proof.labelled_frames import open_labelled
from depthrt_export.report.export_report import Report
from depthrt_export.sources.onnx_file.find import onnx_source


def build(
    source: str, output: Path, said: SourceOptions, options: ExportOptions, phases: Phases
) -> Report:
    """Export a network, prove the file and put it in place.

    Args:
        source: a network in one of the forms of :func:`load_network`, or an ONNX file.
        output: the .onnx file to make.
        said: what is said of the network beside its source.
        options: how the file is made and proven.
        phases: shows what is being done.

    Raises:
        DepthrtError: whatever is wrong, in one sentence; the output is then as it was.
    """
    check_outputs(source, output, said, options)
    if options.dataset is not None:
        open_labelled(options.dataset)  # what is wrong with it is said before the work
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.stem}.") as folder:
        start = _float32(source, output, said, options, Path(folder), phases)
        start = doubt_metres(start, phases)
        made = _convert(start, output, options, phases)
        made = compare_optional_outputs(start, made, phases)
        spec = final_spec(start, made, options)
        golden = _golden(start, made, spec, phases) if options.golden else None
        reference = _reference(start, made, spec, options, phases)
        with phases("write and load"):
            put_in_place(
                made.model,
                spec,
                output,
                made.runs_here,
                overwrite=options.overwrite,
                golden=golden,
                reference=reference,
            )
    return Report(
        output,
        spec,
        made.proof,
        made.reference,
        (
            *start.frames.notes,
            *start.changes,
            *made.notes,
            *_golden_notes(golden, spec),
            *_drift(reference, options),
        ),
        tuple(phases.notes),
        phases.times_s,
        peak_memory_bytes(),
        output.stat().st_size,
        made.found,
    )


def _float32(
    source: str,
    output: Path,
    said: SourceOptions,
    options: ExportOptions,
    folder: Path,
    phases: Phases,
) -> Float32:
    """The proven float32 graph of an ONNX file or a PyTorch network."""
    file = onnx_source(source)
    if file is not None:
        return from_onnx(file, said, options, folder, phases)
    from depthrt_export.build.from_torch import from_torch  # torch, which others do without

    return from_torch(source, said, options, output, folder, phases)


def _convert(start: Float32, output: Path, options: ExportOptions, phases: Phases) -> Made:
    """The graph in the precision that is asked for."""
    if start.as_it_is is not None:
        measured, precision = start.spec.measured, start.as_it_is
        return Made(start.model, start.proof, start.reference_name, measured, precision)
    if options.precision == "auto":
        return to_auto(start, output, options, phases)
    if options.precision == "int8":
        return to_int8(start, options, phases)
    if options.precision == "float32":
        return Made(start.model, start.proof, start.reference_name, start.spec.measured)
    return to_half_precision(start, options.precision, phases)


def _runnable(start: Float32, made: Made) -> Path:
    """A file that computes what the finished one does, as the proof ran it."""
    if made.proven is not None:
        return made.proven
    path = start.path.with_name("finished.onnx")
    if not path.exists():
        write_model(made.model, path)
    return path


def _golden(start: Float32, made: Made, spec: ModelSpec, phases: Phases) -> Golden:
    """Golden frames of the validation frames."""
    with phases("golden frames"):
        return make_golden(
            _runnable(start, made),
            spec,
            start.frames.validation,
            reference=start.reference,
            error=made.proof.figures["worst_mean_error"],
            provider=made.provider,
            by=made.measured.get(made.precision, {}).get("proven_by", ""),
        )


def _has_frames(options: ExportOptions) -> bool:
    return bool(options.frames or options.calibration or options.validate)


def _reference(
    start: Float32, made: Made, spec: ModelSpec, options: ExportOptions, phases: Phases
) -> Reference | None:
    """What drift is judged against; not the demo clip, which nobody's camera looks like."""
    if not _has_frames(options):
        return None
    frames = [*start.frames.calibration, *start.frames.validation]
    with phases("reference of drift"):
        source = spec.measured["frames"]["source"]
        return drift_reference(_runnable(start, made), spec, frames, source, made.provider)


def _drift(reference: Reference | None, options: ExportOptions) -> tuple[str, ...]:
    if reference is None:
        few = "too few frames for a reference of drift: `depthrt run --metrics` learns one"
        return (few,) if _has_frames(options) else ()
    return (
        f"{reference.frames} frames of {reference.source} are the reference that `depthrt run "
        "--metrics` judges drift against: they should show what its camera sees",
    )


def _golden_notes(golden: Golden | None, spec: ModelSpec) -> tuple[str, ...]:
    """The file shows pictures to whoever gets it: that is said."""
    if golden is None:
        return ()
    source = spec.measured["frames"]["source"]
    return (
        f"{len(golden.frames)} golden frames of {source} are in the file, for `depthrt verify` "
        "(--no-golden leaves them out)",
    )

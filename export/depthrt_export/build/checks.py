"""Steps that look at a network beside its proof, and say what they find."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from depthrt.errors import AccuracyGateError
from depthrt_calibration.frames import evenly
from depthrt_export.build.step_results import Float32, Made
from depthrt_export.console import Phases
from depthrt_export.model_file import write_model
from depthrt_export.options import ExportOptions
from depthrt_export.proof.frame_split import FRAMES_WITHOUT_RANGES, FrameSplit
from depthrt_export.proof.optional_outputs import file_outputs, in_words, prove_optional
from depthrt_export.proof.verify import Proof
from depthrt_export.proof.witness import Statement, ask_witness
from depthrt_export.sources.network import DepthNetwork, Normalisation, Reference

MEASURED = "optional_outputs"
"""Where the facts of optional outputs are in a file's metadata, by precision."""

_FARTHEST_USUAL_M = 100.0  # of the median: rooms, streets and fields are nearer
_NEAREST_USUAL_M = 0.05  # of the hundredth part that is nearest


def ask_built_in_model(
    network: DepthNetwork,
    fed: Callable[[Normalisation], Reference],
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
        found = ask_witness(network, fed, samples, of_clip=given is None)
    if found.verdict == "contradicts" and options.strict:
        raise AccuracyGateError(found.line())
    phases.note(f"witness: {found.line()}")
    return found


def doubt_metres(start: Float32, phases: Phases) -> Float32:
    """Say where depth in metres is implausible, and keep the sentence in the spec."""
    sentence = doubt(start.proof) if start.spec.unit == "m" else ""
    if not sentence:
        return start
    phases.note(f"metres: {sentence}")
    told = start.spec.provenance
    assumed = {**told.get("assumed", {}), "metres": sentence}
    spec = dataclasses.replace(start.spec, provenance={**told, "assumed": assumed})
    return dataclasses.replace(start, spec=spec)


def doubt(proof: Proof) -> str:
    """Why the depth of the proof's frames is unlikely to be metres; empty where it may be."""
    depth = np.stack([frame.depth for frame in proof.frames])
    near, middle = (float(value) for value in np.percentile(depth, (1, 50)))
    if middle > _FARTHEST_USUAL_M:
        found = f"the median of the depth is {middle:.4g} m"
    elif near < _NEAREST_USUAL_M:
        found = f"a hundredth of the depth is below {near:.2g} m"
    else:
        return ""
    return (
        f"{found} on {len(proof.frames)} frames: is it in metres? If not, convert it in forward(), "
        "or say --kind depth"
    )


def compare_optional_outputs(start: Float32, made: Made, phases: Phases) -> Made:
    """Compare the made graph's optional outputs with those of float32, where it has any."""
    if not start.spec.outputs or made.precision == start.spec.precision:
        return made
    path = made.proven
    with phases("compare what it gives beside depth"):
        if path is None:
            path = start.path.with_name("beside.onnx")
            write_model(made.model, path)
        samples = evenly(start.frames.validation, FRAMES_WITHOUT_RANGES)
        facts = prove_optional(
            start.network, file_outputs(start.path), file_outputs(path, made.provider), samples
        )
    known = made.measured.get(MEASURED, {})
    measured = {**made.measured, MEASURED: {**known, made.precision: facts}}
    note = f"beside depth, against float32: {in_words(facts)}"
    return dataclasses.replace(made, measured=measured, notes=(*made.notes, note))

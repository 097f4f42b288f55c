"""What becomes of the optional outputs in another precision."""

from __future__ import annotations

import dataclasses

from depthrt_calibration.frames import evenly
from depthrt_export.build.step_results import Float32, Made
from depthrt_export.console import Phases
from depthrt_export.model_file import write_model
from depthrt_export.proof.frame_split import FRAMES_WITHOUT_RANGES
from depthrt_export.proof.optional_outputs import file_outputs, in_words, prove_optional

MEASURED = "optional_outputs"
"""Where the facts are in a file's metadata, by precision."""


def with_optional(start: Float32, made: Made, phases: Phases) -> Made:
    """The made graph with its optional outputs compared with those of float32, where it has any."""
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

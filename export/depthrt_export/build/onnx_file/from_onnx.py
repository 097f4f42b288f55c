"""An ONNX file as the source: wrapped into the contract, and proven against itself."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from depthrt.errors import ModelError, UsageError
from depthrt_calibration.frames import evenly
from depthrt_export.build.checks import ask_built_in_model
from depthrt_export.build.onnx_file.describe import described
from depthrt_export.build.onnx_file.from_depthrt import from_depthrt
from depthrt_export.build.onnx_file.shape_and_precision import task_of
from depthrt_export.build.onnx_file.wrap_and_prove import proven, vary_of
from depthrt_export.build.spec import float32_spec
from depthrt_export.build.step_results import Float32
from depthrt_export.console import Phases
from depthrt_export.options import ExportOptions, SourceOptions
from depthrt_export.proof.frame_split import FRAMES_WITHOUT_RANGES, FrameSplit, split_frames
from depthrt_export.sources.network import Reference
from depthrt_export.sources.onnx_file.find import Found
from depthrt_export.sources.onnx_file.reading import is_depthrt, open_file, opset_of, read_model
from depthrt_export.sources.onnx_file.reference import fed

_LOOKED_AT = 3  # frames


def from_onnx(
    source: Found,
    said: SourceOptions,
    options: ExportOptions,
    folder: Path,
    phases: Phases,
) -> Float32:
    """An ONNX file of any origin in place of a network.

    Args:
        source: the file.
        said: what is said of it; nothing of a depthrt file, which says it itself.
        options: how the new file is made and proven.
        folder: takes the float32 file.
        phases: shows what is being done.

    Raises:
        ModelError: no usable file, or no depth network.
        UsageError: something it does not say is missing, or is said and cannot be.
        AccuracyGateError: what is made of it differs from it.
    """
    with phases("read the file"):
        model = read_model(source.path)
        if is_depthrt(model):
            return from_depthrt(source.path, model, said, options, folder, phases)
        _require_no_torch(source.path, said)
        file = open_file(source.path, model)
        known = described(file, said, options, phases)
        task = task_of(file, known, options)
    network, original = known.network, task.original
    for note in (*([source.note] if source.note else []), *known.notes, *task.notes):
        phases.note(note)
    for topic, sentence in network.assumed.items():
        if f"{topic}: {sentence}" not in phases.notes:
            phases.note(f"{topic}: {sentence}")
    with phases("read frames"):
        frames = split_frames(options, network.input)
    _require_depth(source.path, original.reference, frames)
    statement = None
    if known.finding is None:
        statement = ask_built_in_model(network, fed(file, known.form), frames, options, phases)
    shown = evenly(frames.validation, FRAMES_WITHOUT_RANGES)
    with phases("wrap, rewrite and prove"):
        made = proven(dataclasses.replace(original, samples=shown), options, folder)
    spec = float32_spec(network, options, made.notes, statement)
    seen = {} if known.finding is None else {"found": known.finding.facts()}
    open_axes = vary_of(made.shape)
    provenance = {
        **spec.provenance,
        **seen,
        "opset": opset_of(made.model),
        "varies": sorted(open_axes),
        "seen": [*known.notes, *task.notes],
    }
    made.model.graph.name = network.name
    return Float32(
        network,
        original.reference,
        source.path.name,
        dataclasses.replace(spec, provenance=provenance, measured={"proof": made.proof.facts()}),
        made.model,
        made.path,
        made.proof,
        made.zero,
        frames,
        open_axes,
        made.notes,
        task.as_it_is,
    )


def _require_no_torch(path: Path, said: SourceOptions) -> None:
    given = {"checkpoint": said.checkpoint, "key": said.key, "ignore": said.ignore}
    named = [f"--{name}" for name, value in given.items() if value]
    if named:
        raise UsageError(f"{path} brings its own weights: leave out {', '.join(named)}")
    if said.also:
        raise UsageError("--also is for networks of PyTorch: an ONNX file gives depth alone")
    if said.also is not None:
        raise UsageError(f"--also is for PyTorch networks: of {path} depth alone is kept")


def _require_depth(path: Path, reference: Reference, frames: FrameSplit) -> None:
    """Refuse a file that gives no usable depth by itself, before others are asked about it."""
    depth = [reference(s.pixels[None])[0] for s in evenly(frames.validation, _LOOKED_AT)]
    broken = 1 - float(np.mean([np.isfinite(d).mean() for d in depth]))
    if broken:
        raise ModelError(
            f"{path} itself gives {broken:.1%} non-finite depth values (NaN or infinity): check "
            "its weights, and how it is fed (--mean, --std, --scale)"
        )
    if all(float(np.ptp(d)) == 0 for d in depth):
        raise ModelError(
            f"{path} itself gives one depth everywhere on every frame: check its weights, and how "
            "it is fed (--mean, --std, --scale)"
        )

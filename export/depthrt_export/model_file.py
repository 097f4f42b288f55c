"""The finished file: where it may go, what is written into it, and how it gets there whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import helper

from depthrt.errors import DepthrtError, ModelError, UsageError, WriteError
from depthrt.files.atomic_write import new_file
from depthrt.model.depth_model import DepthModel
from depthrt.model.golden.entry import GOLDEN_KEY, Golden
from depthrt.model.providers import SessionOptions
from depthrt.model.session import open_session
from depthrt.monitor.reference import REFERENCE_KEY, Reference
from depthrt.sinks.base import check_target
from depthrt.sources.source_files import source_files
from depthrt.spec import METADATA_KEY, WEIGHT_BITS_KEY, ModelSpec
from depthrt_export.options import ExportOptions, SourceOptions

_PROTOBUF_LIMIT = 2**31 - 1


def check_outputs(
    source: str,
    target: Path,
    said: SourceOptions,
    options: ExportOptions,
    pages: Sequence[Path] = (),
) -> None:
    """Make sure that model and pages can be written, each to a place of its own.

    Raises:
        TargetError: one exists and may not be overwritten, is read, or cannot be written.
        UsageError: two would be one file.
    """
    named = [source.rpartition(":")[0] or source, said.checkpoint]
    files = [Path(path) for path in named if path]
    for shown in (options.frames, options.calibration, options.validate):
        files += [] if shown is None else source_files(shown)
    labelled = [] if options.dataset is None else [options.dataset]
    taken = {journal_place(target).resolve()}
    for place in (target, *pages):
        if place.resolve() in taken:
            raise UsageError(f"{place} is another output, too: give each a name of its own")
        taken.add(place.resolve())
        check_target(place, overwrite=options.overwrite, sources=files, read=labelled)


def journal_place(target: Path) -> Path:
    """``model.onnx.search.json`` beside ``model.onnx``."""
    return target.with_name(f"{target.name}.search.json")


def write_model(model: onnx.ModelProto, path: Path) -> None:
    """Save a model as one file.

    Raises:
        ModelError: more than the 2 GB that a protobuf message may have.
        WriteError: the disk is full or fails.
    """
    if model.ByteSize() > _PROTOBUF_LIMIT:
        raise ModelError(
            f"the model has {model.ByteSize() / 1e9:.1f} GB, and one ONNX file holds at most 2 GB: "
            "export it with --precision fp16"
        )
    try:
        onnx.save_model(model, path)
    except OSError as error:
        raise WriteError(f"{path} cannot be written ({error.strerror or error})") from error


def works(path: Path, provider: str) -> bool:
    """Whether this machine runs the file through the provider."""
    try:
        open_session(path, SessionOptions.named(provider))
    except DepthrtError:
        return False
    return True


def put_in_place(
    model: onnx.ModelProto,
    spec: ModelSpec,
    target: Path,
    runs_here: bool = True,
    *,
    overwrite: bool = False,
    golden: Golden | None = None,
    reference: Reference | None = None,
) -> None:
    """Write model and spec beside ``target``, load it with the runtime, rename it to ``target``.

    A graph that this machine has no kernels for is checked by the onnx package instead. The file
    gets the golden frames and the reference of drift that are given, and keeps none that the graph
    came with.

    Raises:
        ModelError: the runtime does not accept the file, or reads another spec from it.
        TargetError: the target has come into being since, and may not be overwritten: the file
            stays beside it.
    """
    kept = {p.key: p.value for p in model.metadata_props if p.key == WEIGHT_BITS_KEY}
    if golden is not None:
        kept[GOLDEN_KEY] = golden.to_json()
    if reference is not None:
        kept[REFERENCE_KEY] = reference.to_json()
    helper.set_model_props(model, {METADATA_KEY: spec.to_json(), **kept})
    model.producer_name, model.producer_version = "depthrt", _version()
    with new_file(target, overwrite=overwrite) as path:
        write_model(model, path)
        if _spec_of(path, runs_here) != spec.to_json():
            raise ModelError(f"{path} does not give back the spec that was written into it")


def _spec_of(path: Path, runs_here: bool) -> str:
    """The spec in a file, as JSON, after a check of the graph."""
    if runs_here:
        loaded = DepthModel.load(path, provider="cpu")
        loaded.warm_up()
        return loaded.spec.to_json()
    onnx.checker.check_model(path)
    entries = {p.key: p.value for p in onnx.load_model(path).metadata_props}
    return ModelSpec.from_json(entries[METADATA_KEY]).to_json()


def _version() -> str:
    from importlib.metadata import version

    return version("depthrt")

"""The contract's graph around that of an ONNX file, and the proof that it gives the same depth."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from depthrt.errors import DepthrtError, ModelError, UsageError
from depthrt_calibration.frames import Sample
from depthrt_export.build.spec import opset_for
from depthrt_export.graph.fold_pixels import fold_normalisation
from depthrt_export.graph.wrap import Shape, wrap
from depthrt_export.model_file import write_model
from depthrt_export.options import ExportOptions, Vary
from depthrt_export.proof.verify import Proof, Tolerance, prove
from depthrt_export.quantise.targets import rewritten
from depthrt_export.sources.network import DepthNetwork, Reference
from depthrt_export.sources.onnx_file.quantised import note_weight_bits, quantised_as
from depthrt_export.sources.onnx_file.reading import opset_of
from depthrt_export.sources.onnx_file.reference import Form

_OPSETS = (17, 13)  # LayerNormalization; quantisation per channel


@dataclass(frozen=True, eq=False)
class Original:
    """What is to be wrapped, and what it is proven against.

    - ``model``: the file's graph, in float32 where it is raised to that;
    - ``reference``: the file itself, called ``name``;
    - ``shape``: of the graph to be made; ``others``: to be tried where that does not hold;
    - ``tolerance``: how far its depth may be from the file's;
    - ``as_it_is``: whether nothing but what is needed is done to it.
    """

    model: onnx.ModelProto
    form: Form
    network: DepthNetwork
    reference: Reference
    name: str
    shape: Shape
    samples: Sequence[Sample]
    tolerance: Tolerance
    others: tuple[Shape, ...] = ()
    as_it_is: bool = False


@dataclass(frozen=True, eq=False)
class Wrapped:
    """The proven graph, in a file; ``zero``: what it subtracts from pixels, where that is known."""

    model: onnx.ModelProto
    path: Path
    proof: Proof
    zero: tuple[float, ...] | None
    shape: Shape
    notes: tuple[str, ...]


def vary_of(shape: Shape) -> frozenset[Vary]:
    """What a graph of this shape leaves open."""
    found: set[Vary] = {"batch"} if shape.batch is None else set()
    return frozenset(found | ({"size"} if shape.size_open else set()))


def wrapped(original: Original, options: ExportOptions, folder: Path) -> Wrapped:
    """Wrap the graph, raise its opset and rewrite it as far as its depth stays the same.

    Raises:
        AccuracyGateError: not even the plain graph gives the file's depth.
        ModelError: it cannot be wrapped.
        UsageError: what is left open is frozen, or a frame's depth depends on its batch.
    """
    path = folder / "float32.onnx"
    plain = _plain(original, options, path)
    if original.as_it_is:
        return plain
    model, notes = plain.model, plain.notes
    try:
        model, changes = rewritten(plain.model, options)
        notes = (*notes, *changes)
        write_model(model, path)
        proof = _proof(original, path, plain.shape, original.samples)
    except Exception as error:  # rewrites were made for graphs of PyTorch's exporter
        if model is plain.model and isinstance(error, DepthrtError):
            raise
        why = _line(error)
        model = plain.model
        notes = (*plain.notes, f"no rewrites: with them its depth is not the same ({why})")
        write_model(model, path)
        proof = _proof(original, path, plain.shape, original.samples)
    return dataclasses.replace(plain, model=model, proof=proof, notes=notes)


def proven(original: Original, options: ExportOptions, folder: Path) -> Wrapped:
    """As :func:`wrapped`, with one picture at a time where the pictures of a batch are mixed."""
    try:
        return wrapped(original, options, folder)
    except UsageError as error:
        if original.shape.batch is not None or "batch" in options.vary:
            raise
        alone = dataclasses.replace(original, shape=dataclasses.replace(original.shape, batch=1))
        made = wrapped(alone, options, folder)
        why = str(error).partition(": export it")[0]
        note = f"batch: open in the file, fixed at 1, as {why}"
        return dataclasses.replace(made, notes=(note, *made.notes))


def _plain(original: Original, options: ExportOptions, path: Path) -> Wrapped:
    """The graph without rewrites, in the first of several opsets and shapes that gives the depth.

    It is proven on all frames where it stays as it is, else on one.
    """
    failed: list[tuple[int, Exception]] = []
    samples = original.samples if original.as_it_is else original.samples[:1]
    for shape, opset in _attempts(original, options):
        how = original.network.normalisation
        try:
            made = wrap(original.model, original.form, how, shape, opset, exactly=original.as_it_is)
            folded = None if original.as_it_is else fold_normalisation(made.model)
            if quantised_as(made.model):
                note_weight_bits(made.model)
            write_model(made.model, path)
            proof = _proof(original, path, shape, samples)
        except Exception as error:  # onnxruntime's own classes derive from nothing narrower
            failed.append((opset, error))
            continue
        notes = [*made.notes, *([folded.note] if folded else [])]
        if original.others and shape.batch != 1:
            notes.append(f"its batch of {shape.batch} is kept: it does not run with another")
        if failed and opset == opset_of(original.model):
            notes.append(f"its opset {opset} is kept: {_line(failed[0][1])}")
        return Wrapped(
            made.model, path, proof, folded.zero if folded else None, shape, tuple(notes)
        )
    _, last = failed[-1]
    if isinstance(last, DepthrtError):
        raise last
    raise ModelError(f"{original.name} cannot be wrapped: {_line(last)}") from last


def _attempts(original: Original, options: ExportOptions) -> Iterator[tuple[Shape, int]]:
    own, wanted = opset_of(original.model), opset_for(options)
    raised = [] if original.as_it_is else [o for o in (wanted, *_OPSETS) if own < o <= wanted]
    for shape in (original.shape, *original.others):
        for opset in (*dict.fromkeys(raised), own):
            yield shape, opset


def _proof(original: Original, path: Path, shape: Shape, samples: Sequence[Sample]) -> Proof:
    return prove(
        original.network,
        original.reference,
        path,
        samples,
        vary_of(shape),
        original.tolerance,
        against=original.name,
    )


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]

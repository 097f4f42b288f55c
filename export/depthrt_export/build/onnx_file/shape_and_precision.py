"""In which shape and precision an ONNX file is wrapped."""

from __future__ import annotations

from dataclasses import dataclass

from depthrt.errors import UsageError
from depthrt.spec import Precision
from depthrt_export.build.onnx_file.describe import Described
from depthrt_export.build.onnx_file.wrap_and_prove import Original
from depthrt_export.graph.wrap import Shape
from depthrt_export.options import ExportOptions
from depthrt_export.proof.verify import TOLERANCES
from depthrt_export.sources.onnx_file.float32 import holds_half, in_float32
from depthrt_export.sources.onnx_file.image_input import image_inputs
from depthrt_export.sources.onnx_file.quantised import quantised_as
from depthrt_export.sources.onnx_file.reading import OnnxFile
from depthrt_export.sources.onnx_file.reference import fed


@dataclass(frozen=True, eq=False)
class Task:
    """What is made of the file: from which graph, in which shapes, how near it must be.

    - ``notes``: a line for each thing about it that the user did not say;
    - ``as_it_is``: the precision that it keeps; None: float32, from which others are made.
    """

    original: Original
    notes: tuple[str, ...]
    as_it_is: Precision | None


def task_of(file: OnnxFile, known: Described, options: ExportOptions) -> Task:
    """What is made of a file of which this is known.

    Raises:
        UsageError: a precision or an open axis that the file cannot have.
    """
    network, form = known.network, known.form
    shape, others, notes = _shapes(file, known, options)
    model, as_it_is, tolerance = file.model, quantised_as(file.model), TOLERANCES["float32"]
    name = file.path.name
    if as_it_is is not None:
        if options.precision != "float32":
            raise UsageError(
                f"{name} is quantised already ({as_it_is}) and is wrapped as it is: leave out "
                "--precision"
            )
        notes = (*notes, f"quantised already ({as_it_is}): wrapped as it is")
    elif holds_half(model):
        tolerance = TOLERANCES["float16"]
        if options.precision == "float16":
            as_it_is, notes = "float16", (*notes, "float16 already: wrapped as it is")
        else:
            model = in_float32(model)
            notes = (
                *notes,
                "its float16 weights are raised to float32 (--precision fp16 keeps them); proven "
                f"against it within float16's rounding, {tolerance.mean_error:g} of the spread",
            )
    original = Original(
        model=model,
        form=form,
        network=network,
        reference=fed(file, form)(network.normalisation),
        name=name,
        shape=shape,
        samples=(),
        tolerance=tolerance,
        others=others,
        as_it_is=as_it_is is not None,
    )
    return Task(original, notes, as_it_is)


def _shapes(
    file: OnnxFile, known: Described, options: ExportOptions
) -> tuple[Shape, tuple[Shape, ...], tuple[str, ...]]:
    """The shape to make, others to fall back to, and what is to be said of it.

    Raises:
        UsageError: something is to be open that the file fixes.
    """
    name, image, size = file.path.name, known.form.image, known.size
    declared = image_inputs(file.path, file.model)[0]
    size_open = "size" in options.vary
    if size_open and image.fixed_size is not None:
        raise UsageError(f"{name} is fixed at {size[0]}x{size[1]}: leave out --dynamic size")
    if "batch" in options.vary and image.batch is not None:
        why = (
            "fails with two pictures"
            if declared.batch is None
            else f"takes {image.batch} at a time"
        )
        raise UsageError(f"{name} {why}: leave out --dynamic batch")
    if known.network.input.resize == "keep_aspect" and not size_open:
        raise UsageError(
            "--resize keep-aspect gives every picture a size of its own: add --dynamic size, or "
            "take --resize pad"
        )
    notes = []
    if image.batch is not None and declared.batch is None:
        notes.append("batch: the file calls it open, but fails with two pictures: fixed at 1")
    if image.fixed_size is None and not size_open:
        notes.append(
            f"size: open in the file, fixed at {size[0]}x{size[1]}; --dynamic size keeps it"
        )
    if image.batch is None or image.batch == 1:
        return Shape(image.batch, size, size_open), (), tuple(notes)
    notes.append(f"batch: fixed at {image.batch} in the file; made 1 where it runs so")
    whole = Shape(image.batch, size, size_open)
    return Shape(1, size, size_open), (whole,), tuple(notes)

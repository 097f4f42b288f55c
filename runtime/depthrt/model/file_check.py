"""What a model file must be: its spec, and the input and the outputs of its graph."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthrt.errors import ModelError
from depthrt.model.other_formats import other_format
from depthrt.spec import DEPTH, METADATA_KEY, OPTIONAL_OUTPUTS, ModelSpec, TensorForm

if TYPE_CHECKING:
    import onnxruntime as ort

_MOST_SHOWN = 4
_CHANNELS = 3
_ANY_SIZE = "224x448"  # multiples of 14 and of 32, as networks want them


def read_spec(session: ort.InferenceSession, file: Path) -> ModelSpec:
    """The spec in a session's model file, after a check that the graph keeps to it.

    Raises:
        ModelError: no depthrt model, a spec that cannot be read, or a graph that contradicts it.
    """
    metadata = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in metadata:
        raise ModelError(_foreign(session, file))
    try:
        spec = ModelSpec.from_json(metadata[METADATA_KEY])
        _check_graph(session, spec)
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error
    return spec


def _foreign(session: ort.InferenceSession, file: Path) -> str:
    """What is to be said of a file without a spec: what it takes and gives, and the way out."""
    what = other_format(file)  # onnxruntime reads files of its own format, too
    if what:
        return f"{file} {what}"
    takes, gives = (", ".join(map(_shown, each)) for each in _tensors(session))
    command = _export_command(session, file)
    return (
        f"{file} is an ONNX file but no depthrt model (no {METADATA_KEY!r} entry in its metadata): "
        f"it takes {takes} and gives {gives}; make one of it with `{command}`"
    )


def _tensors(session: ort.InferenceSession) -> tuple[Sequence[Any], Sequence[Any]]:
    return session.get_inputs()[:_MOST_SHOWN], session.get_outputs()[:_MOST_SHOWN]


def _shown(tensor: Any) -> str:
    kind = tensor.type.removeprefix("tensor(").removesuffix(")")
    sides = ",".join("?" if side is None else str(side) for side in tensor.shape)
    return f"{tensor.name} {'float32' if kind == 'float' else kind} {sides}".strip()


def _export_command(session: ort.InferenceSession, file: Path) -> str:
    """The command that makes a depthrt model of the file; an open size has to be said."""
    sides = [side for side in session.get_inputs()[0].shape if side != _CHANNELS][-2:]
    size = "" if all(isinstance(side, int) for side in sides) else f" --size {_ANY_SIZE}"
    made = f"{file.stem}.depthrt.onnx"
    return f"depthrt export {shlex.quote(str(file))} -o {shlex.quote(made)}{size}"


def _check_graph(session: ort.InferenceSession, spec: ModelSpec) -> None:
    """Raise a ModelError unless the graph takes an image and gives what the spec says.

    That is uint8 image N,3,H,W, float32 depth N,H,W, and the optional outputs that the spec names.
    """
    inputs = session.get_inputs()
    given = [(i.name, i.type, len(i.shape)) for i in inputs]
    if given != [("image", "tensor(uint8)", 4)] or inputs[0].shape[1] != 3:
        raise ModelError(f"the input must be one uint8 tensor image N,3,H,W, not {given}")
    outputs = {output.name: output for output in session.get_outputs()}
    _check_names([*outputs], spec)
    _check_output(outputs["depth"], DEPTH, inputs[0].shape)
    for name in spec.outputs:
        _check_output(outputs[name], OPTIONAL_OUTPUTS[name], inputs[0].shape)
    size = inputs[0].shape[2:]
    fixed = all(isinstance(side, int) for side in size)
    if fixed and tuple(size) != (spec.input.height, spec.input.width):
        raise ModelError(
            f"the graph takes {size[0]}x{size[1]}, but the spec says "
            f"{spec.input.height}x{spec.input.width}"
        )
    if fixed and spec.input.resize == "keep_aspect":
        raise ModelError("the spec keeps the aspect of frames, but the graph has one fixed size")


def _check_names(made: Sequence[str], spec: ModelSpec) -> None:
    if "depth" not in made:
        raise ModelError(f"the graph has no output depth: it gives {', '.join(made)}")
    missing = [name for name in spec.outputs if name not in made]
    if missing:
        raise ModelError(
            f"the spec names {' and '.join(missing)}, but the graph gives {', '.join(made)}"
        )
    unnamed = [name for name in made if name not in ("depth", *spec.outputs)]
    if unnamed:
        raise ModelError(
            f"the graph gives {', '.join(unnamed)} beside depth, which the spec does not name"
        )


def _check_output(output: Any, form: TensorForm, image: Sequence[int | str]) -> None:
    """Raise a ModelError unless an output has its element type, rank, and the image's sides."""
    axes = ",".join(form.axes)
    if (output.type, len(output.shape)) != (f"tensor({form.element})", len(form.axes)):
        raise ModelError(
            f"{output.name} must be a tensor({form.element}) {axes}, not {output.type} of shape "
            f"{output.shape}"
        )
    sides = {"N": image[0], "3": 3, "H": image[2], "W": image[3]}
    for axis, side in zip(form.axes, output.shape, strict=True):
        wanted = sides[axis]
        if isinstance(wanted, int) and isinstance(side, int) and (wanted != side or not side):
            raise ModelError(f"{output.name} is {output.shape} for an image of {[*image]}")

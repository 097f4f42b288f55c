"""What a model file must be: its spec, and the one input and the one output of its graph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from depthrt.errors import ModelError
from depthrt.spec import METADATA_KEY, ModelSpec

if TYPE_CHECKING:
    import onnxruntime as ort


def read_spec(session: ort.InferenceSession, file: Path) -> ModelSpec:
    """The spec in a session's model file, after a check that the graph keeps to it.

    Raises:
        ModelError: no depthrt model, a spec that cannot be read, or a graph that contradicts it.
    """
    metadata = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in metadata:
        raise ModelError(
            f"{file} is an ONNX file but no depthrt model (no {METADATA_KEY!r} entry in its "
            "metadata): make one with `depthrt export`"
        )
    try:
        spec = ModelSpec.from_json(metadata[METADATA_KEY])
        _check_graph(session, spec)
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error
    return spec


def _check_graph(session: ort.InferenceSession, spec: ModelSpec) -> None:
    """Raise a ModelError unless uint8 image N,3,H,W goes in and float32 depth N,H,W comes out."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    given = [(i.name, i.type, len(i.shape)) for i in inputs]
    if given != [("image", "tensor(uint8)", 4)] or inputs[0].shape[1] != 3:
        raise ModelError(f"the input must be one uint8 tensor image N,3,H,W, not {given}")
    made = [(o.name, o.type, len(o.shape)) for o in outputs]
    if made != [("depth", "tensor(float)", 3)]:
        raise ModelError(f"the output must be one float32 tensor depth N,H,W, not {made}")
    for one, other in zip(inputs[0].shape[:1] + inputs[0].shape[2:], outputs[0].shape, strict=True):
        if isinstance(one, int) and isinstance(other, int) and (one != other or not one):
            raise ModelError(f"depth is {outputs[0].shape} for an image of {inputs[0].shape}")
    size = inputs[0].shape[2:]
    fixed = all(isinstance(side, int) for side in size)
    if fixed and tuple(size) != (spec.input.height, spec.input.width):
        raise ModelError(
            f"the graph takes {size[0]}x{size[1]}, but the spec says "
            f"{spec.input.height}x{spec.input.width}"
        )
    if fixed and spec.input.resize == "keep_aspect":
        raise ModelError("the spec keeps the aspect of frames, but the graph has one fixed size")

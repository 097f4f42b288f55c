"""A finished depthrt file, as a server of others has to know it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import onnx

from depthrt.errors import ModelError
from depthrt.files.file_hash import file_sha256
from depthrt.model.catalogue.registry import find_model
from depthrt.spec import METADATA_KEY, ModelSpec
from depthrt_export.sources.onnx_file.reading import is_depthrt, opset_of, read_model

OPEN = -1
"""A side that the graph leaves open."""


@dataclass(frozen=True)
class Tensor:
    """An input or output of the graph.

    - ``element``: ``onnx.TensorProto``'s number of its element type;
    - ``axes``: its sides, the batch first; open ones are :data:`OPEN`.
    """

    name: str
    element: int
    axes: tuple[int, ...]


@dataclass(frozen=True)
class DepthFile:
    """A depthrt file: what it says of itself, and the tensors of its graph."""

    path: Path
    spec: ModelSpec
    sha256: str
    opset: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def fixed_batch(self) -> int | None:
        """Images per inference where the graph fixes them; None: the batch is open."""
        batch = self.inputs[0].axes[0]
        return None if batch == OPEN else batch

    @property
    def is_open_in_size(self) -> bool:
        """Whether the graph leaves height or width open."""
        return OPEN in self.inputs[0].axes[2:]

    @property
    def folder_name(self) -> str:
        """The model's name as a folder may have it: a name may hold slashes."""
        return re.sub(r"[^A-Za-z0-9._-]+", "--", self.spec.name).strip(".-") or "depth"


def open_depth_file(name: str | Path) -> DepthFile:
    """The finished file of a path or of a built-in or pulled model's name.

    Raises:
        ModelError: there is none, or it is no depthrt file.
    """
    path = find_model(name)
    model = read_model(path)
    if not is_depthrt(model):
        raise ModelError(
            f"{path} is no depthrt model: `depthrt export {path} -o NEW.onnx` makes one of it"
        )
    text = next(entry.value for entry in model.metadata_props if entry.key == METADATA_KEY)
    try:
        spec = ModelSpec.from_json(text)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    inputs, outputs = (tuple(map(_tensor, found)) for found in (_fed(model), model.graph.output))
    if len(inputs) != 1 or len(inputs[0].axes) != 4:
        raise ModelError(f"{path} has not the one input of a depthrt model: export it again")
    return DepthFile(path, spec, file_sha256(path), opset_of(model), inputs, outputs)


def _fed(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs that are no weights: old files list those among the inputs, too."""
    weights = {weight.name for weight in model.graph.initializer}
    return [entry for entry in model.graph.input if entry.name not in weights]


def _tensor(entry: onnx.ValueInfoProto) -> Tensor:
    form = entry.type.tensor_type
    axes = (side.dim_value if side.HasField("dim_value") else OPEN for side in form.shape.dim)
    return Tensor(entry.name, form.elem_type, tuple(axes))

"""Read an ONNX file of others, whatever may be wrong with it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
from onnx.external_data_helper import load_external_data_for_model

from depthrt.errors import ModelError
from depthrt.model.other_formats import other_format, why_unreadable
from depthrt.model.providers import SessionOptions
from depthrt.model.session import open_session
from depthrt.spec import METADATA_KEY

if TYPE_CHECKING:
    import onnxruntime as ort

# Domains whose operators come with onnxruntime.
_KNOWN_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc")
_SHOWN = 4


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """A file that onnxruntime runs: its graph with all weights, and a session on the CPU."""

    path: Path
    model: onnx.ModelProto
    session: ort.InferenceSession

    @property
    def opset(self) -> int:
        """The version of ONNX's own operators."""
        return opset_of(self.model)


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators that a model uses."""
    return max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1)


def is_depthrt(model: onnx.ModelProto) -> bool:
    """Whether the file says of itself that it is a depthrt model."""
    return any(entry.key == METADATA_KEY for entry in model.metadata_props)


def read_model(path: Path) -> onnx.ModelProto:
    """The graph with its weights, wherever they lie.

    Raises:
        ModelError: no ONNX file, a part of one, or weights that are missing or outside its folder.
    """
    if not path.is_file():
        raise ModelError(f"no model file at {path}: check the path")
    what = other_format(path)
    if what:
        raise ModelError(f"{path} {what}")
    try:
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error})") from error
    except Exception as error:  # protobuf's own classes derive from nothing narrower
        why = why_unreadable(path)
        raise ModelError(f"{path} is no ONNX file" + (f": {why}" if why else "")) from error
    if not model.graph.node:
        why = why_unreadable(path) or "there is no graph in it"
        raise ModelError(f"{path} is no ONNX file: {why}")
    try:
        load_external_data_for_model(model, str(path.parent))
    except (onnx.checker.ValidationError, OSError, ValueError) as error:
        raise ModelError(
            f"{path} keeps weights in other files, and one of them is missing or lies outside its "
            f"folder ({_first_line(error)})"
        ) from error
    return model


def open_file(path: Path, model: onnx.ModelProto) -> OnnxFile:
    """The file in a session of onnxruntime.

    Raises:
        ModelError: operators that onnxruntime does not have (named), or what else it refuses.
    """
    foreign = sorted(set(_custom_operators(model)))
    if foreign:
        more = f" and {len(foreign) - _SHOWN} more" if len(foreign) > _SHOWN else ""
        raise ModelError(
            f"{path} uses operators that onnxruntime does not have ({', '.join(foreign[:_SHOWN])}"
            f"{more}): export the network again without them"
        )
    try:
        session = open_session(path, SessionOptions("cpu"))
    except ModelError:
        # onnxruntime does not read every weight from a file beside: those of shapes it does not.
        if not _keeps_weights_apart(path):
            raise
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / path.name
            onnx.save(model, whole)
            session = open_session(whole, SessionOptions("cpu"))
    return OnnxFile(path, model, session)


def _keeps_weights_apart(path: Path) -> bool:
    model = onnx.load(path, load_external_data=False)
    return any(tensor.external_data for tensor in model.graph.initializer)


def nodes_of(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The nodes of a graph and of its branches and loops."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for branch in (attribute.g, *attribute.graphs):
                yield from nodes_of(branch)


def _custom_operators(model: onnx.ModelProto) -> Iterator[str]:
    own = {(function.domain, function.name) for function in model.functions}
    bodies = [node for function in model.functions for node in function.node]
    for node in (*nodes_of(model.graph), *bodies):
        if node.domain not in _KNOWN_DOMAINS and (node.domain, node.op_type) not in own:
            yield f"{node.domain}:{node.op_type}"


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")

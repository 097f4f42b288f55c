"""From a PyTorch network to the ONNX graph of the contract: uint8 pixels in, depth out."""

from __future__ import annotations

import ast
import re
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from depthrt.errors import UsageError
from depthrt.spec import DEPTH, OPTIONAL_OUTPUTS
from depthrt_export.console import quiet_torch
from depthrt_export.graph.fold_pixels import BGR
from depthrt_export.options import Vary
from depthrt_export.sources.optional_outputs import to_optional
from depthrt_export.sources.outputs import OutputForm, to_depth, without_autocast
from depthrt_export.sources.torch_network import TorchNetwork

_WRAPPED = "network"  # the attribute that holds the user's module


class ImageToDepth(nn.Module):
    """Pixels uint8 N,3,H,W to depth float32 N,H,W around a network of normalised pixels.

    The optional outputs of the form follow, where it has any.

    ``(p * scale - mean) / std`` is computed as ``(p - zero) * gain``, which is what a convolution
    can absorb.
    """

    pixel_zero: Tensor
    pixel_gain: Tensor

    def __init__(self, network: TorchNetwork, form: OutputForm) -> None:
        super().__init__()
        how = network.normalisation
        std = torch.tensor(how.std, dtype=torch.float64)
        zero = torch.tensor(how.mean, dtype=torch.float64) / how.scale
        self.register_buffer("pixel_zero", zero.float().reshape(1, 3, 1, 1))
        self.register_buffer("pixel_gain", (how.scale / std).float().reshape(1, 3, 1, 1))
        self.bgr = network.bgr
        if network.bgr:
            self.register_buffer(BGR, torch.tensor([2, 1, 0]))
        self.network = network.module
        self.form = form

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        pixels = (image.to(torch.float32) - self.pixel_zero) * self.pixel_gain
        if self.bgr:
            pixels = pixels.index_select(1, self.get_buffer(BGR))
        output = self.network(pixels)
        size, form = image.shape[-2:], self.form
        depth = to_depth(output, size, form)
        return (depth, *to_optional(output, size, form.optional)) if form.optional else depth


def export_graph(
    network: TorchNetwork, form: OutputForm, vary: frozenset[Vary], opset: int
) -> onnx.ModelProto:
    """Trace the network at its export size and translate it.

    Raises:
        UsageError: what is to vary is fixed by the network, tracing fails, or an operator has no
            ONNX form (named, with the module it comes from).
    """
    batch = 2 if "batch" in vary else 1  # torch.export takes a traced 1 for a constant
    image = torch.zeros(batch, 3, network.input.height, network.input.width, dtype=torch.uint8)
    with quiet_torch(), without_autocast():
        program = _trace(ImageToDepth(network, form), image, network, vary)
        names = ["depth", *(each.name for each in form.optional)]
        model = _translate(program, network.name, opset, names)
    _tidy(model, vary, network)
    return model


def _trace(
    module: nn.Module, image: Tensor, network: TorchNetwork, vary: frozenset[Vary]
) -> torch.export.ExportedProgram:
    step = network.input.multiple_of
    shapes: dict[int, Any] = {0: torch.export.Dim("batch")} if "batch" in vary else {}
    if "size" in vary:
        shapes |= {2: _dim("rows", step), 3: _dim("columns", step)}
    try:
        return torch.export.export(
            module, (image,), dynamic_shapes=(shapes,) if shapes else None, strict=False
        )
    except Exception as error:  # torch.export documents no base class
        reason = _first_line(error)
        if shapes and "Constraints violated" in reason:
            raise UsageError(_frozen(network, vary, str(error))) from error
        raise UsageError(
            f"{network.name} cannot be traced by torch.export ({reason}): a network must do the "
            "same operations for every picture"
        ) from error


def _dim(name: str, step: int) -> Any:
    dim = torch.export.Dim(name)
    return dim if step == 1 else dim * step


def _frozen(network: TorchNetwork, vary: frozenset[Vary], reason: str) -> str:
    if "size" in vary and "generated guard" in reason and network.input.multiple_of == 1:
        return (
            f"{network.name} takes only certain sizes: say which with --multiple-of (32, say), or "
            "leave out --dynamic size"
        )
    fixed = "batch" if "size" not in vary or re.search(r"marked batch", reason) else "size"
    return (
        f"{network.name} works at one {fixed} only (its code fixes what was to vary): leave out "
        f"--dynamic {fixed}"
    )


def _translate(
    program: torch.export.ExportedProgram, name: str, opset: int, outputs: list[str]
) -> onnx.ModelProto:
    try:
        result = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=opset,
            input_names=["image"],
            output_names=outputs,
            verbose=False,
        )
    except torch.onnx.OnnxExporterError as error:
        operator = _unsupported_operator(error)
        if operator is None:
            raise UsageError(f"{name} cannot be put into ONNX: {_first_line(error)}") from error
        raise UsageError(
            f"{name} uses {operator}{_module_of(program, operator)}, which has no ONNX operator in "
            f"opset {opset}: replace it, or try another --opset"
        ) from error
    if result is None:
        raise UsageError(f"{name} cannot be put into ONNX")
    return result.model_proto


def _unsupported_operator(error: BaseException) -> str | None:
    cause: BaseException | None = error
    while cause is not None:
        found = re.search(
            r"No ONNX function found for <OpOverload\(op='([\w.:]+)'", str(cause)
        ) or re.search(r"No decompositions registered for <OpOverload\(op='([\w.:]+)'", str(cause))
        if found:
            return found.group(1)
        cause = cause.__cause__
    return None


def _module_of(program: torch.export.ExportedProgram, operator: str) -> str:
    short = operator.split(".")[-1].split("::")[-1]
    for node in program.graph.nodes:
        if node.op == "call_function" and short in str(node.target):
            stack = list(node.meta.get("nn_module_stack", {}).values())
            if stack:
                path, kind = stack[-1]
                path = _module_path(path)
                kind = kind if isinstance(kind, str) else kind.__qualname__
                where = f"module {path} " if path else "module "
                return f" in {where}({kind.rsplit('.', 1)[-1]})"
    return ""


def _module_path(path: str) -> str:
    return path.removeprefix(_WRAPPED).removeprefix(".")


def _tidy(model: onnx.ModelProto, vary: frozenset[Vary], network: TorchNetwork) -> None:
    """Name nodes after their modules, name the axes, and forget the exporter's stack traces."""
    taken: dict[str, int] = {}
    for node in model.graph.node:
        name = f"{_scope(node)}/{node.op_type}".lstrip("/")
        taken[name] = taken.get(name, -1) + 1
        node.name = f"{name}_{taken[name]}" if taken[name] else name
    graph = model.graph
    for holder in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del holder.metadata_props[:]
        if not isinstance(holder, onnx.TensorProto):
            holder.doc_string = ""
    del graph.metadata_props[:], model.metadata_props[:]
    graph.name = network.name
    graph.doc_string = model.doc_string = ""
    axes: list[int | str] = [
        "batch" if "batch" in vary else 1,
        *(("height", "width") if "size" in vary else (network.input.height, network.input.width)),
    ]
    _name_axes(graph.input[0], [axes[0], 3, *axes[1:]])
    sides = dict(zip("NHW", axes, strict=True)) | {"3": 3}
    for output in graph.output:
        form = OPTIONAL_OUTPUTS.get(output.name, DEPTH)
        _name_axes(output, [sides[axis] for axis in form.axes])


def _scope(node: onnx.NodeProto) -> str:
    for entry in node.metadata_props:
        if entry.key == "pkg.torch.onnx.name_scopes":
            scopes = [scope for scope in ast.literal_eval(entry.value)[:-1] if scope]
            return _module_path(scopes[-1]) if scopes else ""
    return ""


def _name_axes(value: onnx.ValueInfoProto, axes: list[int | str]) -> None:
    dims = value.type.tensor_type.shape.dim
    for dim, axis in zip(dims, axes, strict=True):
        if isinstance(axis, str):
            dim.dim_param = axis
        else:
            dim.dim_value = axis


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__

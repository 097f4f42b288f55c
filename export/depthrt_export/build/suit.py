"""The graph in the operators that the machine runs fastest."""

from __future__ import annotations

import onnx

from depthrt_export.options import ExportOptions
from depthrt_export.quantise.targets import suited, target


def rewritten(
    model: onnx.ModelProto, options: ExportOptions
) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """The graph with faster operators of the same value, and a line for each change."""
    changes: list[str] = []
    if options.rewrite:
        from depthrt_export.rewrites.rewrite import rewrite  # onnxscript, which takes a while

        model, changes = rewrite(model)
    if options.precision not in ("int8", "auto"):  # those quantise the fused graph
        model = suited(model, target(options.target).provider)
    return model, tuple(changes)

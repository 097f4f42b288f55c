"""Rewrites that make an exported graph faster without changing what it computes.

Each pass is a function of the model that changes it in place and returns how often it applied; its
docstring says what it matches and why it is exact. What onnxruntime does by itself when it loads a
file (fusing Conv with Relu, Gelu with its bias, LayerNormalization with the skip connection) is
left to it.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from depthrt_export.rewrites.attention import fuse_attention
from depthrt_export.rewrites.attention_mask import drop_neutral_masks
from depthrt_export.rewrites.attention_nan import drop_unreachable_nan_guard
from depthrt_export.rewrites.cleanup import fold_constants, remove_unused
from depthrt_export.rewrites.layer_scale import fold_layer_scale
from depthrt_export.rewrites.upsampling import move_pointwise_before_upsampling

__all__ = ["rewrite"]

PASSES: tuple[tuple[str, Callable[[ir.Model], int]], ...] = (
    ("nodes without effect removed", remove_unused),
    ("constants folded", fold_constants),
    ("NaN guard behind softmax removed", drop_unreachable_nan_guard),
    ("attention mask of zeros removed", drop_neutral_masks),
    ("attention -> MultiHeadAttention", fuse_attention),
    ("LayerScale folded into the linear layer", fold_layer_scale),
    ("1x1 convolution moved before upsampling", move_pointwise_before_upsampling),
)


def rewrite(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[str]]:
    """Apply every pass to a copy of the model.

    Returns:
        The rewritten model, and one line for each pass that applied, with its count. Where none
        did, the model that came in.
    """
    graph = ir.from_proto(model)
    ShapeInferencePass()(graph)  # the exporter leaves shapes out where the batch is symbolic
    counts = [(title, apply(graph)) for title, apply in PASSES]
    lines = [f"{title}: {count}" for title, count in counts if count]
    if not lines:
        return model, []
    remove_unused(graph)  # what the passes have left behind
    return ir.to_proto(graph), lines

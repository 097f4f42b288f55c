"""What no longer matters is folded or removed, by passes of onnxscript and onnx-ir."""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as common
from onnxscript import optimizer

# Larger results stay computed: onnxruntime folds them when it loads the file, which stays small.
LARGEST_FOLDED = 1 << 18  # elements


def fold_constants(model: ir.Model) -> int:
    """Constants folded.

    onnxscript's constant folding: a node of which all inputs are constants is replaced by what
    the ONNX reference evaluator gives for it. Exact up to that evaluator's rounding.
    """
    before = len(model.graph)
    optimizer.fold_constants(
        model, input_size_limit=LARGEST_FOLDED, output_size_limit=LARGEST_FOLDED
    )
    return before - len(model.graph)


def remove_unused(model: ir.Model) -> int:
    """Nodes without effect removed.

    onnx-ir's passes for Identity, common subexpressions, and nodes and initializers whose results
    nobody reads. Exact because no remaining computation changes.
    """
    before = len(model.graph)
    for step in (
        common.IdentityEliminationPass(),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
        common.RemoveUnusedOpsetsPass(),
    ):
        step(model)
    return before - len(model.graph)

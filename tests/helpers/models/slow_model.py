"""A depthrt model made slower: the same file with real work behind its depth.

PYTHONPATH=tests python -m helpers.models.slow_model MODEL.onnx OUT.onnx [POOLINGS]
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from depthrt.model.golden.entry import GOLDEN_KEY

_KERNEL = 15


def slower(model: Path, target: Path, poolings: int = 60) -> Path:
    """Write the model with maximum poolings (15x15) of its depth after it.

    Golden frames are left out, as its depth is another.
    """
    found = onnx.load(model)
    for entry in [e for e in found.metadata_props if e.key == GOLDEN_KEY]:
        found.metadata_props.remove(entry)
    (last,) = (node for node in found.graph.node if "depth" in node.output)
    last.output[list(last.output).index("depth")] = "depth_before"
    found.graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "pool_axis"))
    names = ["pooled_0", *(f"pooled_{n + 1}" for n in range(poolings))]
    nodes = [helper.make_node("Unsqueeze", ["depth_before", "pool_axis"], names[:1])]
    nodes += [
        helper.make_node("MaxPool", [a], [b], kernel_shape=[_KERNEL] * 2, pads=[_KERNEL // 2] * 4)
        for a, b in pairwise(names)
    ]
    nodes.append(helper.make_node("Squeeze", [names[-1], "pool_axis"], ["depth"]))
    found.graph.node.extend(nodes)
    onnx.save(found, target)
    return target


if __name__ == "__main__":
    slower(Path(sys.argv[1]), Path(sys.argv[2]), int((sys.argv[3:] or ["60"])[0]))

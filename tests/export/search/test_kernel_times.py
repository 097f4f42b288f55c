"""Which kernels belong to which block, and which blocks int8 makes no faster."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from depthrt_export.graph.nodes import blocks
from depthrt_export.search.block_costs import (
    block_times,
    int8_over_float,
    kernel_times,
    unpaid,
    without_shared,
)
from helpers.models.rewritten import noise, parse

GROUPS = {"stem": ("stem/Conv", "stem/Relu"), "head": ("head/Conv",)}


def two_blocks() -> object:
    model = parse(
        """g (float[1,3,8,8] image) => (float[1,1,8,8] depth) {
            x = Identity (image)
            a = Conv <pads=[1,1,1,1]> (x, w)
            relu_1 = Relu (a)
            depth = Conv <pads=[1,1,1,1]> (relu_1, v)
        }""",
        w=noise(4, 3, 3, 3), v=noise(1, 4, 3, 3),
    )  # fmt: skip
    names = ("Identity", "stem/Conv", "stem/Relu", "head/Conv")
    for node, name in zip(model.graph.node, names, strict=True):
        node.name = name
    return model.graph


def test_kernels_are_traced_to_blocks_by_node_and_by_tensor() -> None:
    kernels = {
        "Identity_kernel_time": 1.0,  # stands before all blocks: its reader's
        "relu_1_nchwc_kernel_time": 20.0,  # Conv and Relu in one, named after the tensor
        "relu_1_QuantizeLinear_kernel_time": 3.0,
        "head/Conv_token_7_kernel_time": 50.0,
        "ReorderInput_token_9_kernel_time": 1000.0,  # nobody's
    }
    times = block_times(two_blocks(), GROUPS, kernels)  # type: ignore[arg-type]
    assert times == {"stem": 24.0, "head": 50.0}


def test_a_block_pays_if_it_is_clearly_faster() -> None:
    ratios = int8_over_float(
        {"a": 100.0, "b": 100.0, "c": 100.0, "d": 0.0}, {"a": 60.0, "b": 99.0, "c": 130.0, "d": 5.0}
    )
    assert ratios == {"a": 0.6, "b": 0.99, "c": 1.3, "d": 1.0}
    assert unpaid(ratios) == ("b", "c", "d")


def test_what_both_compute_alike_is_not_compared() -> None:
    before, after = {"softmax": 5.0, "a_nchwc": 1.0}, {"softmax": 7.0, "a_token_1": 2.0}
    assert without_shared(before, after) == ({"a_nchwc": 1.0}, {"a_token_1": 2.0})


def test_every_block_of_a_real_network_is_timed(loud: Path) -> None:
    graph = onnx.load(loud).graph
    image = np.zeros((3, 64, 96), np.uint8)
    first, second = kernel_times([loud, loud], image)
    assert first.keys() == second.keys()
    times = block_times(graph, blocks(graph), first)
    assert times
    assert all(time > 0 for time in times.values())
    assert sum(times.values()) >= 0.5 * sum(first.values())

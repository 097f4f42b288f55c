"""Ranges of tensors against the values themselves."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from depthrt_calibration import ranges
from depthrt_calibration.frames import Sample

RANDOM = np.random.default_rng(8)
SAMPLES = [
    Sample(np.clip(RANDOM.normal(120, 30, (3, 20, 30)), 0, 255).astype(np.uint8), f"#{i}")
    for i in range(4)
]
PIXELS = np.stack([s.pixels for s in SAMPLES]).astype(np.float32)


def model(batch: int | str = "batch") -> onnx.ModelProto:
    """image -> Cast -> Mul 2 -> Relu of (x - 300) -> mean over channels."""
    node = helper.make_node
    graph = helper.make_graph(
        [
            node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
            node("Mul", ["pixels", "two"], ["doubled"]),
            node("Sub", ["doubled", "shift"], ["shifted"]),
            node("Relu", ["shifted"], ["cut"]),
            node("Shape", ["cut"], ["shape"]),
            node("ReduceMean", ["cut", "axes"], ["depth"], keepdims=0),
        ],
        "ranges",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [batch, 3, 20, 30])],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, [batch, 20, 30])],
        [
            numpy_helper.from_array(np.float32(2).reshape(()), "two"),
            numpy_helper.from_array(np.float32(300).reshape(()), "shift"),
            numpy_helper.from_array(np.array([1], np.int64), "axes"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_only_float_tensors_are_watched() -> None:
    assert ranges.float_tensors(model()) == ["pixels", "doubled", "shifted", "cut", "depth"]


@pytest.mark.parametrize("batch", ["batch", 1, 2])
def test_extremes_over_all_frames(batch: int | str) -> None:
    found = ranges.collect_ranges(model(batch), SAMPLES)
    assert found["pixels"] == (PIXELS.min(), PIXELS.max())
    assert found["doubled"] == (2 * PIXELS.min(), 2 * PIXELS.max())
    assert found["shifted"] == (2 * PIXELS.min() - 300, 2 * PIXELS.max() - 300)
    assert found["cut"] == (0, 2 * PIXELS.max() - 300)


def test_percentile_cuts_both_ends_to_within_a_bin() -> None:
    found = ranges.collect_ranges(model(), SAMPLES, percentile=99.0)
    low, high = np.percentile(PIXELS, (0.5, 99.5))
    step = float(np.ptp(PIXELS)) / ranges.HISTOGRAM_BINS + 1  # pixels are whole numbers
    assert found["pixels"] == pytest.approx((low, high), abs=step)
    assert found["cut"][0] == 0
    assert found["cut"][1] < 2 * PIXELS.max() - 300


def test_chunks_of_tensors_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ranges.collect_ranges(model(), SAMPLES, percentile=99.9)
    monkeypatch.setattr(ranges, "_TENSORS_AT_A_TIME", 2)
    assert ranges.collect_ranges(model(), SAMPLES, percentile=99.9) == whole

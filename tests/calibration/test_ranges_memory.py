"""Ranges take memory for a few tensors, however many frames there are."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
import onnx
import pytest

from depthrt_calibration.frames import Sample
from depthrt_calibration.ranges import collect_ranges
from helpers.models.small_model import build_model

SIZE = (256, 256)
TENSOR_BYTES = 4 * SIZE[0] * SIZE[1]


class Drawn(Sequence[Sample]):
    """Samples that are made when they are asked for."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...

    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        pixels = np.random.default_rng(index).integers(0, 256, (3, *SIZE), np.uint8)
        return Sample(pixels, f"#{index}")


def resident_bytes() -> int:
    """Memory of this process, with what onnxruntime holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.parametrize("percentile", [None, 99.9])
def test_memory_does_not_grow_with_frames(tmp_path: Path, percentile: float | None) -> None:
    model = onnx.load(build_model(tmp_path / "m.onnx", size=SIZE))
    collect_ranges(model, Drawn(2), percentile)  # what is loaded once is loaded
    peaks, grown = [], []
    for count in (4, 80):
        before = resident_bytes()
        tracemalloc.start()
        found = collect_ranges(model, Drawn(count), percentile)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        grown.append(max(0, resident_bytes() - before))  # less: what earlier tests left went
        assert found["depth"][1] > 0
    # Kept, one of the model's tensors from each frame would be 20 MB more.
    assert peaks[1] - peaks[0] < 4 * TENSOR_BYTES
    assert grown[1] - grown[0] < 40 * TENSOR_BYTES

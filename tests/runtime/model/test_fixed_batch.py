"""Runs of one size where each size is planned anew."""

from __future__ import annotations

import numpy as np
import pytest

from depthrt import DepthModel
from depthrt.model.fixed_batch import MOST_FRAMES, PlannedBatch


def test_smaller_runs_are_filled_up_to_the_largest_of_their_size() -> None:
    planned = PlannedBatch()
    assert [planned.next_run(n, (8, 8)) for n in (2, 8, 3, 8)] == [2, 8, 8, 8]
    assert [planned.next_run(1, (8, 8)) for _ in range(99)] == [8] * 99
    assert planned.next_run(1, (8, 16)) == 1  # planned anew anyway
    assert [planned.next_run(n, (8, 16)) for n in (MOST_FRAMES + 1, 2)] == [MOST_FRAMES + 1, 2]


def test_a_gpu_is_given_runs_of_one_size_and_gives_each_frame_its_depth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = DepthModel.load(provider="cpu")
    frames = np.random.default_rng(0).integers(0, 255, (3, 3, 224, 288), dtype=np.uint8)
    expected = [model.infer(frames[i : i + 1]) for i in range(3)]
    ran: list[int] = []
    run = model._run

    def remembered(batch: np.ndarray, options: object = None) -> list[np.ndarray]:
        ran.append(len(batch))
        return run(batch, options)

    monkeypatch.setattr(model, "_run", remembered)
    assert [len(model.infer(frames[:n])) for n in (1, 2)] == [1, 2]
    assert ran == [1, 2]  # a CPU computes what there is
    monkeypatch.setattr(model, "_planned", PlannedBatch())  # as CUDA has it
    ran.clear()
    model.warm_up(2)
    for first, last in ((0, 1), (0, 3), (1, 2), (0, 2)):
        found = model.infer(frames[first:last])
        assert np.allclose(found, np.concatenate(expected[first:last]), atol=0.02)
    assert ran == [2, 2, 3, 3, 3]
    ran.clear()
    model.warm_up()
    assert len(model.infer(frames[:1])) == 1
    assert ran == [1, 1]

"""Several inferences at a time, for recordings on a CPU."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt import DepthModel, InferenceError, Stats, UsageError, stream
from depthrt.model.inference import Abort
from helpers.models.small_model import build_model

pytestmark = pytest.mark.usefixtures("no_thread_is_left")

_IMAGES = [np.full((48, 64, 3), 20 * i, np.uint8) for i in range(12)]


@pytest.fixture
def model(model_of_three_cores: DepthModel) -> DepthModel:
    return model_of_three_cores


def hold_up(model: DepthModel, monkeypatch: pytest.MonkeyPatch, fail_on: int = -1) -> list[int]:
    """Make the first of three inferences the last to end; how many ran at a time is returned."""
    infer, lock, running, seen = model.infer, threading.Lock(), [0], [0]

    def slowly(batch: NDArray[np.uint8], abort: Abort | None = None) -> NDArray[np.float32]:
        with lock:
            running[0] += 1
            seen[0] = max(seen[0], running[0])
        frame = int(batch[0, 0, 0, 0]) // 20
        time.sleep(0.06 if frame % 3 == 0 else 0.02)
        with lock:
            running[0] -= 1
        if frame == fail_on:
            raise InferenceError("this one is bad")
        return infer(batch, abort)

    monkeypatch.setattr(model, "infer", slowly)
    return seen


def test_only_throughput_on_a_cpu_asks_for_it(tmp_path: Path, model: DepthModel) -> None:
    path = build_model(tmp_path / "other.onnx")
    assert model.parallel == 3
    assert DepthModel.load(path, provider="cpu").parallel == 1
    assert DepthModel.load(path, provider="cpu", threads=2, objective="throughput").parallel == 1


def test_threads_change_the_number_of_inferences_at_a_time(
    model: DepthModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cores are shared out among them; the mechanism is the same."""
    one = DepthModel.load(model.path, provider="cpu", threads=1, objective="throughput")
    assert (one.options.threads, one.parallel) == (1, 3)
    all_cores = DepthModel.load(model.path, provider="cpu", threads=3, objective="throughput")
    assert (all_cores.options.threads, all_cores.parallel) == (3, 1)
    two = DepthModel.load(model.path, provider="cpu", parallel=2)
    assert (two.options.threads, two.options.spinning) == (1, True)
    seen = hold_up(two, monkeypatch)
    assert sum(1 for _ in stream(_IMAGES, two)) == 12
    assert seen == [2]
    for said in ({"threads": 0}, {"parallel": -1}):
        with pytest.raises(UsageError, match="must be 1 or more"):
            DepthModel.load(model.path, **said)


def test_frames_keep_their_order_and_their_depth(
    model: DepthModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [model(image).values for image in _IMAGES]
    seen, stats = hold_up(model, monkeypatch), Stats()
    results = list(stream(_IMAGES, model, stats=stats))
    assert [r.frame.index for r in results] == list(range(12))
    for result, values in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result.depth.values, values)
    assert seen == [3]
    assert stats.busy_s["infer"] > 12 * 0.02  # the work of all threads, not the time that passed


def test_what_came_before_a_failure_comes_out(
    model: DepthModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_up(model, monkeypatch, fail_on=7)
    seen: list[int] = []
    with pytest.raises(InferenceError, match="frame 7: this one is bad"):
        seen.extend(result.frame.index for result in stream(_IMAGES, model))
    assert seen == list(range(7))


def test_leaving_early_ends_every_thread(
    model: DepthModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_up(model, monkeypatch)
    results = stream(_IMAGES, model)
    assert next(results).frame.index == 0
    results.close()

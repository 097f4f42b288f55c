"""What was tuned is what then runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from depthrt.jobs.run import Job, execute
from depthrt.jobs.tune import block
from depthrt.jobs.tune import tune as tuning
from depthrt.jobs.tune.tune import tune
from depthrt.model.depth_model import DepthModel
from depthrt.model.inference import Abort
from depthrt.model.providers import SessionOptions
from depthrt.model.tuning_cache import Choice, Tuning, save
from depthrt.pipeline.stream import stream
from depthrt.sources.base import Selection
from depthrt.system.cpu_cores import usable_cores

ONE = Choice(SessionOptions("cpu", 1), 1, 2.0, 3.0)
FILES = Choice(SessionOptions("cpu", 1), 4, 7.0, 2.0)
CORES = usable_cores()


def test_run_uses_what_was_found(
    model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(model_path, Tuning(ONE, FILES))
    sizes: list[int] = []
    infer = DepthModel.infer

    def counted(
        self: DepthModel, batch: NDArray[np.uint8], abort: Abort | None = None
    ) -> NDArray[np.float32]:
        sizes.append(len(batch))
        return infer(self, batch, abort)

    monkeypatch.setattr(DepthModel, "infer", counted)
    job = Job("demo", tmp_path / "d.npz", str(model_path), Selection(max_frames=8))
    assert execute(job).frames == 8
    assert sizes == [4, 4]
    sizes.clear()
    execute(replace(job, batch=2, overwrite=True))
    assert sizes == [2] * 4
    sizes.clear()
    execute(replace(job, threads=CORES, overwrite=True))
    assert sizes == [1] * 8
    sizes.clear()
    execute(replace(job, selection=Selection(max_frames=1), overwrite=True))
    assert sizes == [1]


def test_only_auto_is_tuned(model_path: Path) -> None:
    save(model_path, Tuning(ONE, FILES))
    loaded = DepthModel.load(model_path)
    assert loaded.tuned == ONE
    assert loaded.session.get_session_options().intra_op_num_threads == 1
    assert DepthModel.load(model_path, objective="throughput").batch == 4
    for said in ({"provider": "cpu"}, {"threads": 2}, {"spinning": False}):
        untuned = DepthModel.load(model_path, **said)  # type: ignore[arg-type]
        assert untuned.tuned is None
        assert untuned.batch == 1


def test_a_tuned_provider_that_is_gone_falls_back(model_path: Path) -> None:
    gone = next(
        name
        for name, full in (("qnn", "QNN"), ("coreml", "CoreML"))
        if f"{full}ExecutionProvider" not in ort.get_available_providers()
    )
    save(model_path, Tuning(replace(ONE, options=SessionOptions(gone)), FILES))
    loaded = DepthModel.load(model_path)
    assert loaded.tuned is None
    assert loaded.provider != gone


def most_at_a_time(model: DepthModel, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many inferences of a model ran at a time: each waits for another one for a moment."""
    infer, changed, running, most = model.infer, threading.Condition(), [0], [0]

    def counted(batch: NDArray[np.uint8], abort: Abort | None = None) -> NDArray[np.float32]:
        with changed:
            running[0] += 1
            most[0] = max(most[0], running[0])
            changed.wait(0.03)
            running[0] -= 1
        return infer(batch, abort)

    monkeypatch.setattr(model, "infer", counted)
    return lambda: most[0]


@pytest.mark.parametrize("parallel", [1, 2, 3])
def test_the_scheduler_runs_as_many_at_a_time_as_were_tuned(
    model_path: Path, parallel: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = replace(FILES, options=SessionOptions("cpu", 1, parallel=parallel), batch=2)
    save(model_path, Tuning(ONE, chosen))
    model = DepthModel.load(model_path, objective="throughput")
    assert (model.options, model.batch) == (chosen.options, 2)
    at_a_time = most_at_a_time(model, monkeypatch)
    images = [np.zeros((48, 64, 3), np.uint8)] * 24
    assert sum(1 for _ in stream(images, model)) == 24
    assert at_a_time() == parallel


def test_what_is_tuned_is_what_is_then_run(
    model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Session and batch of a run are those of the candidate, whichever wins."""
    measured: dict[tuple[SessionOptions, int], tuple[int, str, int]] = {}
    of_block = partial(block.measure_block, block_s=0.01)

    def noted(model: DepthModel, batch: int, video: Path) -> block.Block:
        settings = model.session.get_session_options()
        spins = settings.get_session_config_entry("session.intra_op.allow_spinning")
        found = (settings.intra_op_num_threads, spins, model.parallel)
        measured[model.options, batch] = found
        return of_block(model, batch, video)

    monkeypatch.setattr(tuning, "measure_block", noted)
    monkeypatch.setattr(tuning, "BATCHES", (2,))
    outcome = tune(model_path, seconds=0.1)
    assert {(t.options, t.batch) for t in outcome.trials if not t.note} == set(measured)
    for trial in outcome.trials:
        if trial.note:
            continue
        save(model_path, Tuning(trial.choice(), trial.choice()))
        for purpose in ("latency", "live", "throughput"):
            model = DepthModel.load(model_path, objective=purpose)
            assert (model.options, model.batch) == (trial.options, trial.batch)
            settings = model.session.get_session_options()
            spins = settings.get_session_config_entry("session.intra_op.allow_spinning")
            found = (settings.intra_op_num_threads, spins, model.parallel)
            assert found == measured[trial.options, trial.batch]

"""Engines in this process and in others."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from depthrt.errors import InferenceError, UsageError
from depthrt_benchmarks.bench.measure.runners import Local, Remote, Workload
from helpers.models.small_model import build_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return build_model(tmp_path / "tiny.onnx")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("[" * 20_000, "answers with no JSON"),
        ("warning: something", "answers with no JSON"),
        ("[]", "something else than was asked"),
        ('{"ok": 3}', "something else than was asked"),
        ('{"ok": {"ms": ["1"]}}', "says no times"),
        ('{"ok": {"ms": NaN}}', "answers with no JSON"),
        ('{"ok": {}}', "says no times"),
    ],
)
def test_a_worker_that_talks_nonsense(tmp_path: Path, answer: str, says: str) -> None:
    (tmp_path / "answer").write_text(answer + "\n")
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nread line\ncat {tmp_path}/answer\nread line\n")
    python.chmod(0o755)
    runner = Remote(Workload(tmp_path, "cpu", 1, np.zeros((1, 3, 8, 8), np.uint8)), python)
    try:
        with pytest.raises(InferenceError, match=says):
            runner.run()
    finally:
        runner.close()


def test_another_engine_is_a_python_file(model: Path, tmp_path: Path) -> None:
    engine = tmp_path / "twice_engine.py"
    engine.write_text(
        "import profile\n"
        "assert profile.run  # of the standard library\n"
        "def open_engine(order):\n"
        "    return lambda images: order['gain'] * images[:, 0], {'versions': {'twice': '1'}}\n"
    )
    frames = np.full((2, 3, 4, 5), 7, np.uint8)
    runner = Remote(Workload(model, "cpu", 1, frames), sys.executable, engine, {"gain": 2})
    try:
        runner.open()
        assert runner.facts["versions"]["twice"] == "1"
        assert len(runner.run(3)) == 3
        assert runner.depths(frames).tolist() == np.full((2, 4, 5), 14).tolist()
    finally:
        runner.close()


def test_local_runner_needs_no_environment(model: Path) -> None:
    runner = Local(Workload(model, "cpu", 1, np.zeros((1, 3, 48, 64), np.uint8)))
    runner.open()
    assert all(ms > 0 for ms in runner.run(3))
    with pytest.raises(UsageError):
        Remote(Workload(model, "cpu", 1, np.zeros((1, 3, 48, 64), np.uint8)), model.parent / "none")

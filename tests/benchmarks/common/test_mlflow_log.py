"""Runs logged with MLflow and read back by MLflow itself."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from depthrt.errors import TargetError, UsageError, WriteError
from depthrt_benchmarks.common.report import mlflow_log
from depthrt_benchmarks.common.report.mlflow_log import Run
from helpers.commands import Command
from helpers.models.small_model import build_model, expected_depth

# It takes seconds to import, which only the process of these tests is to spend.
pytestmark = pytest.mark.skipif(find_spec("mlflow") is None, reason="needs the extra track")


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[str]]:
    """A folder with two runs, and the model of both."""
    folder = tmp_path_factory.mktemp("runs")
    model = build_model(folder / "tiny.onnx")
    report = folder / "report.html"
    report.write_text("<p>measured</p>")
    runs = [
        Run(
            "bench",
            f"tiny {n}",
            {"size": [48, 64], "machine": {"cores": 2}, "none": None},
            {"cpu/batch 1/p50_ms": 1.5 + n, "odd name*": 1.0, "lost": float("nan")},
            {"bench.json": {"cells": [n]}},
            (report,),
            model,
        )
        for n in range(2)
    ]
    target = folder / "tracked"
    mlflow_log.check(str(target))
    return target, model, [mlflow_log.log(str(target), run) for run in runs]


def client(target: Path) -> Any:
    import mlflow

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.set_tracking_uri(f"sqlite:///{target / 'mlflow.db'}")
        return mlflow.MlflowClient()


@pytest.mark.slow
def test_parameters_metrics_and_reports_are_there(logged: tuple[Path, Path, list[str]]) -> None:
    target, _, (first, second) = logged
    found = client(target)
    runs = [found.get_run(number) for number in (first, second)]
    assert {run.info.experiment_id for run in runs} == {
        found.get_experiment_by_name("depthrt-bench").experiment_id
    }
    assert [run.data.metrics["cpu/batch 1/p50_ms"] for run in runs] == [1.5, 2.5]
    assert runs[0].data.metrics["odd name_"] == 1.0
    assert "lost" not in runs[0].data.metrics
    assert runs[0].data.params["machine.cores"] == "2"
    assert "none" not in runs[0].data.params
    place = target / "artifacts" / first / "artifacts"
    assert (place / "report.html").read_text() == "<p>measured</p>"
    assert json.loads((place / "bench.json").read_text()) == {"cells": [0]}


@pytest.mark.slow
def test_the_model_is_one_of_mlflows_with_the_spec_as_signature(
    logged: tuple[Path, Path, list[str]],
) -> None:
    import onnxruntime

    target = logged[0]
    client(target)
    from mlflow.models import Model

    (place, *_) = sorted((target / "artifacts").rglob("MLmodel"))
    kept = Model.load(place.parent)
    assert kept.signature is not None
    (image,) = kept.signature.inputs.inputs
    (depth,) = kept.signature.outputs.inputs
    assert (image.name, image.shape, image.type) == ("image", (-1, 3, 48, 64), np.dtype("uint8"))
    assert (depth.name, depth.shape, depth.type) == ("depth", (-1, 48, 64), np.dtype("float32"))
    assert kept.metadata is not None
    assert kept.metadata["depthrt"]["kind"] == "inverse_depth"
    session = onnxruntime.InferenceSession(str(place.parent / "model.onnx"))
    pixels = np.full((1, 3, 48, 64), 7, np.uint8)
    (values,) = session.run(None, {"image": pixels})
    assert np.array_equal(values, expected_depth(pixels))


@pytest.mark.slow
def test_bench_logs_only_when_asked(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    logged: tuple[Path, Path, list[str]],
) -> None:
    command = Command(capfd, monkeypatch)
    monkeypatch.chdir(tmp_path)
    quick = ("--threads", 1, "--duration", 0.05, "--no-fresh", "--clip", "none", "--batches", 1)
    assert command("bench", logged[1], *quick).code == 0
    assert list(tmp_path.iterdir()) == []
    done = command("bench", logged[1], *quick, "--track", logged[0], "--json")
    assert done.code == 0
    found = client(logged[0])
    experiment = found.get_experiment_by_name("depthrt-bench").experiment_id
    newest = found.search_runs([experiment])[0]
    p50 = done.document["cells"][0]["latency_ms"]["p50"]
    assert newest.data.metrics["cpu/threads 1/batch 1/48x64/p50_ms"] == p50
    assert newest.data.params["precision"] == "float32"


def test_without_mlflow_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"--track needs MLflow: pip install .*\[track\]"):
        mlflow_log.check("runs")


def test_a_place_that_cannot_be_had_is_said(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(TargetError, match="--track"):
        mlflow_log.check(str(file / "inside"))
    with pytest.raises(WriteError, match="could not be logged"):
        mlflow_log.log("nowhere://x", Run("bench", "x"))


def test_the_command_line_imports_no_mlflow() -> None:
    import subprocess

    code = "import sys, depthrt_benchmarks.bench.report.outputs; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_what_a_host_tracks_elsewhere_goes_on(tmp_path: Path) -> None:
    """Address, environment, log levels and warnings are as before, also after a failure."""
    import mlflow

    elsewhere = f"sqlite:///{tmp_path / 'host.db'}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = os.environ.get("MLFLOW_TRACKING_URI")
        mlflow.set_tracking_uri(elsewhere)
    state = host_state()
    try:
        mlflow_log.check(str(tmp_path / "ours"))
        mlflow_log.log(str(tmp_path / "ours"), Run("bench", "x"))
        assert host_state() == state
        with pytest.raises(WriteError):
            mlflow_log.log("nowhere://x", Run("bench", "x"))
        assert host_state() == state
        assert mlflow.get_tracking_uri() == elsewhere
    finally:
        mlflow.set_tracking_uri(before)
    assert (tmp_path / "ours/mlflow.db").exists()
    assert not (tmp_path / "host.db").exists()


def host_state() -> tuple[object, ...]:
    levels = [logging.getLogger(name).level for name in ("mlflow", "alembic")]
    return dict(os.environ), levels, list(warnings.filters)


def test_a_password_of_a_tracking_server_is_not_told() -> None:
    target = "nowhere://me:s3cret@127.0.0.1:9/x?token=t0ken"
    with pytest.raises(WriteError) as failed:
        mlflow_log.log(target, Run("bench", "x"))
    told = "".join(traceback.format_exception(failed.value))
    assert str(failed.value).startswith("--track nowhere://127.0.0.1:9/x?token=***: ")
    assert [secret for secret in ("me:", "s3cret", "t0ken") if secret in told] == []


def test_parameters_hold_no_password() -> None:
    parameters = mlflow_log.flat(
        {"frames": {"source": "rtsp://me:s3cret@camera/s"}, "size": [1, 2]}
    )
    assert parameters == {"frames.source": "rtsp://camera/s", "size": [1, 2]}
